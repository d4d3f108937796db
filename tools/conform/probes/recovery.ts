import { sleep } from "../../../shared/util/sleep.ts";
import { authenticate } from "../cad/authenticate.ts";
import { grade, type Probe } from "./probe.ts";

/** The CAD keeps a session only once it has noticed the disconnect, ms. */
const NOTICED_MS = 1000;

/** Cuts a separate connection without a close packet, and checks whether the CAD recovers it. */
export const recovery: Probe = {
  title: "connection state recovery",
  writes: false,
  async run({ another, token, signal }) {
    const client = another();
    const what = "connection state recovery";
    try {
      await client.connect();
      // Recovery needs a received event: its offset is where the recovery starts.
      const heard = await authenticate(client, token);
      client.cut();
      await sleep(NOTICED_MS, signal);
      await client.connect();
      if (client.recovered) return { grades: [grade(what, "yes", "a connection that was cut is recovered")] };
      const why = heard
        ? "a connection that was cut is a new one"
        : "no event was received before the cut, so this is unknown";
      return { grades: [grade(what, heard ? "no" : "unknown", why)] };
    } catch (error) {
      return { grades: [grade(what, "unknown", `the second connection failed: ${(error as Error).message}`)] };
    } finally {
      client.leave();
    }
  },
};
