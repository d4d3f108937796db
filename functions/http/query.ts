import { zValidator } from "@hono/zod-validator";
import { z } from "zod";
import { Problem, wrongFields } from "./problem.ts";

/** Parses the query by a schema, and tells every wrong field. @param what it is called in the answer */
export const parseQuery = <Schema extends z.ZodObject>(schema: Schema, what = "query") =>
  zValidator("query", schema, (result) => {
    if (!result.success)
      throw new Problem("invalid-body", `The ${what} is invalid.`, { errors: wrongFields(result.error.issues) });
  });

const MANY = 50;

/** A field of a query that may stand there several times. */
export const several = <Field extends z.ZodType<string>>(field: Field) =>
  z.union([field.transform((one) => [one]), z.array(field).max(MANY)]);
