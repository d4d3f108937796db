import { zValidator } from "@hono/zod-validator";
import { z } from "zod";
import { Problem, type WrongField, wrongFields } from "./problem.ts";

/** Parses the query by a schema, and reports every wrong parameter. */
export const parseQuery = <Schema extends z.ZodObject>(schema: Schema) =>
  zValidator("query", schema, (result) => {
    if (!result.success) throw invalidQuery(wrongFields(result.error.issues));
  });

const invalidQuery = (errors: WrongField[]) =>
  new Problem(
    "invalid-query",
    `${errors.length === 1 ? "One parameter is" : `${errors.length} parameters are`} wrong.`,
    {
      errors,
    },
  );

const MANY = 50;

/** A field of a query that may stand there several times. */
export const several = <Field extends z.ZodType<string>>(field: Field) =>
  z.union([field.transform((one) => [one]), z.array(field).max(MANY)]);
