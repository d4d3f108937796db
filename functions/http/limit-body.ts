import type { Context, MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { Problem } from "./problem.ts";
import type { CallerEnv } from "./caller.ts";

/** Default size limit of a body. */
export const MAX_BODY_BYTES = 256 * 1024;

/** How much of a body that is too large is still read, so that the client reads the error. */
const DISCARD_BYTES = 8 * 1024 * 1024;

/** A client that is still sending would not see the answer: up to DISCARD_BYTES are discarded first. */
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
 * Refuses a body that is too large. A declared length is trusted, since the server enforces it and reading the body costs
 * more than all the rest of the request; without one, the body is read up to the limit.
 */
export const limitBody: MiddlewareHandler = async (c, next) => {
  const length = c.req.header("Content-Length");
  if (length === undefined || c.req.header("Transfer-Encoding") !== undefined)
    return bodyLimit({ maxSize: limitOf(c), onError: tooLarge })(c, next);
  if (Number(length) > limitOf(c)) return tooLarge(c);
  await next();
};
