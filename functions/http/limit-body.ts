import type { Context, MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { Problem } from "./problem.ts";
import type { CallerEnv } from "./caller.ts";

/** How large a body may be, if it is not said otherwise. */
export const MAX_BODY_BYTES = 256 * 1024;

/** How much of a body that is too large is read all the same, so that the client gets to read why. */
const DISCARD_BYTES = 8 * 1024 * 1024;

/** A client that still sends would not see the answer: what it sends is discarded first, within bounds. */
async function tooLarge(c: Context): Promise<never> {
  const { body } = c.req.raw;
  if (body && !body.locked) {
    let seen = 0;
    for await (const chunk of body) {
      seen += chunk.byteLength;
      if (seen > DISCARD_BYTES) break;
    }
  }
  throw new Problem("too-large", `The body is larger than ${limitOf(c)} bytes.`, {}, { Connection: "close" });
}

const limitOf = (c: Context): number => (c as Context<CallerEnv>).var.maxBodyBytes;

/**
 * Refuses a body that is too large. A request that says its length is judged by that (the server holds it to it): looking
 * at the body itself costs more than all the rest of the request. One that does not say is read up to the limit.
 */
export const limitBody: MiddlewareHandler = async (c, next) => {
  const length = c.req.header("Content-Length");
  if (length === undefined || c.req.header("Transfer-Encoding") !== undefined)
    return bodyLimit({ maxSize: limitOf(c), onError: tooLarge })(c, next);
  if (Number(length) > limitOf(c)) return tooLarge(c);
  await next();
};
