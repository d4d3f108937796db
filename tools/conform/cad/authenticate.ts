import type { CadClient } from "./client.ts";

const ANSWER_MS = 3000;

/** The CAD refused the token. */
export class TokenRefused extends Error {
  override name = "TokenRefused";
}

/** Sends `fastapi:authenticate`; false if it is not answered in time. Throws TokenRefused. */
export async function authenticate(client: CadClient, token: string): Promise<boolean> {
  const from = client.heard.length;
  client.emit("fastapi:authenticate", { token });
  const said = await client.hear(({ event }) => event === "authenticated", ANSWER_MS, from);
  if (!said) return false;
  const { payload } = said;
  const success = typeof payload === "object" && payload !== null && "success" in payload && payload.success === true;
  if (!success) throw new TokenRefused("the CAD refused the token in fastapi:authenticate");
  return true;
}
