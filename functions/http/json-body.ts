import type { Context, MiddlewareHandler } from "hono";
import type { z } from "zod";
import { Problem, type WrongField, wrongFields } from "./problem.ts";
import type { Caller, CallerEnv } from "./caller.ts";
import { limitBody } from "./limit-body.ts";
import { refuseQuery } from "./query.ts";
import { readStrictJson } from "./strict-json.ts";

/**
 * Reads the body as strict JSON and parses it by a schema. Invalid JSON, or JSON that parsers read differently, is refused
 * before the schema sees it; `refuse` builds the problem for a body that does not match the schema.
 */
export function jsonBody<Body>(
  schema: z.ZodType<Body>,
  refuse: (wrong: WrongField[]) => Problem,
): MiddlewareHandler<object, string, { out: { json: Body } }> {
  const read: MiddlewareHandler = async (c, next) => {
    const parsed = schema.safeParse(await readBody(c));
    if (!parsed.success) throw refuse(wrongFields(parsed.error.issues));
    // The API's schemas all describe objects.
    c.req.addValidatedData("json", parsed.data as object);
    await next();
  };
  return async (c, next) => {
    refuseQuery(c);
    requireJson(c);
    await limitBody(c, () => Promise.resolve(read(c, next)).then(() => undefined));
  };
}

/**
 * For a request without a body: `{}` and `null` count as none. Anything else is refused: an ignored field could be meant as a safeguard.
 */
export const noBody: MiddlewareHandler = (c, next) =>
  limitBody(c, async () => {
    refuseQuery(c);
    if ((await c.req.arrayBuffer()).byteLength > 0) {
      requireJson(c);
      refuseContent(await readBody(c));
    }
    await next();
  });

function refuseContent(body: unknown): void {
  const names = typeof body === "object" && body !== null && !Array.isArray(body) ? Object.keys(body) : undefined;
  if (body === null || names?.length === 0) return;
  const errors = (names ?? []).slice(0, 50).map((name) => ({
    pointer: `/${name.slice(0, 50)}`,
    detail: "is not a field of this request",
  }));
  throw new Problem("invalid-body", "This request takes no body.", { errors });
}

/** Refuses a body that is not declared as JSON. */
function requireJson(c: Context): void {
  const type = c.req.header("Content-Type") ?? "";
  if (!/^application\/([\w.-]+\+)?json *(;|$)/i.test(type))
    throw new Problem("not-json-type", "The Content-Type is not application/json.");
}

/** Runs before parsing. Does not count without a limiter or a known caller. */
async function admitBytes({ var: { caller, admitBytes: admit } }: Context<CallerEnv>, bytes: number): Promise<void> {
  // Set by earlier middleware; undefined where a body is read without it.
  const who = caller as Caller | undefined;
  if (who !== undefined) await (admit as typeof admit | undefined)?.(who.userId, bytes);
}

async function readBody(c: Context): Promise<unknown> {
  const bytes = await c.req.arrayBuffer();
  await admitBytes(c as Context<CallerEnv>, bytes.byteLength);
  const read = readStrictJson(bytes);
  if ("value" in read) return read.value;
  if ("notJson" in read) throw new Problem("not-json", read.notJson);
  throw new Problem("unsafe-json", "JSON parsers would read parts of the body differently.", {
    errors: read.faults.slice(0, 50),
  });
}
