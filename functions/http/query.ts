import { zValidator } from "@hono/zod-validator";
import type { Context, MiddlewareHandler } from "hono";
import { z } from "zod";
import { Problem, type WrongField, wrongFields } from "./problem.ts";

/** Parses the query by a schema and reports every invalid parameter. */
export const parseQuery = <Schema extends z.ZodObject>(schema: Schema) =>
  zValidator("query", schema, (result) => {
    if (!result.success) throw invalidQuery(wrongFields(result.error.issues));
  });

const invalidQuery = (errors: WrongField[]) =>
  new Problem(
    "invalid-query",
    `${errors.length === 1 ? "One parameter is" : `${errors.length} parameters are`} invalid.`,
    {
      errors,
    },
  );

/**
 * Refuses a query on a request that takes none. An ignored parameter could be meant as a safeguard: `?dry_run=true` on a
 * request that takes it in its body.
 */
export function refuseQuery(c: Context): void {
  const parsed: unknown = c.req.valid("query" as never);
  const names = Object.keys(c.req.query());
  if (parsed !== undefined || names.length === 0) return;
  const errors = names
    .slice(0, MANY)
    .map((name) => ({ pointer: `/${name.slice(0, MANY)}`, detail: "is not a parameter of this request" }));
  throw invalidQuery(errors);
}

/** For a request without parameters. */
export const noQuery: MiddlewareHandler = async (c, next) => {
  refuseQuery(c);
  await next();
};

const MANY = 50;

/** A query field that may be repeated. */
export const several = <Field extends z.ZodType<string>>(field: Field) =>
  z.union([field.transform((one) => [one]), z.array(field).max(MANY)]);
