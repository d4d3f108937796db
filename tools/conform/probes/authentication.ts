import { NoConnection } from "../cad/client.ts";
import { grade, type Grade, type Probe, type ProbeContext } from "./probe.ts";

/** Whether the CAD checks the token: tries a wrong one and none. Nothing is sent on those connections. */
export const authentication: Probe = {
  title: "authentication",
  writes: false,
  async run(context) {
    const wrong = await accepts(context, "not-the-token-of-this-cad");
    const none = await accepts(context, "");
    const seen = context.client.heard.some(({ event }) => event === "authenticated");
    const handshake: Grade = wrong
      ? grade("a wrong token", "no", "is accepted in the handshake: fastapi:authenticate alone may refuse it")
      : grade("a wrong token", "yes", "is refused in the handshake");
    return {
      grades: [
        handshake,
        none
          ? grade("no token", "no", "is accepted: anyone who can reach the CAD can be its client")
          : grade("no token", "yes", "is refused"),
        seen
          ? grade("fastapi:authenticate", "yes", "is answered")
          : grade("fastapi:authenticate", "no", "is not answered: every connection waits CAD_AUTH_WAIT_MS for it"),
      ],
    };
  },
};

async function accepts({ another }: ProbeContext, token: string): Promise<boolean> {
  const client = another(token);
  try {
    await client.connect();
    return true;
  } catch (error) {
    if (!(error instanceof NoConnection)) throw error;
    return false;
  } finally {
    client.leave();
  }
}
