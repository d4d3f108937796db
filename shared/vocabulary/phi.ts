import type { z } from "zod";

/** The JSON Schema keyword for a field that may hold protected health information (45 CFR 160.103). */
export const PHI = "x-phi";

/** Marks a field that may hold PHI: a patient's condition, identity or location, and references to their record. */
export const mayHoldPhi = <T extends z.ZodType>(schema: T): T => schema.meta({ ...schema.meta(), [PHI]: true });

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null;

/** Whether any part of a JSON Schema is marked. */
export const holdsMark = (schema: unknown): boolean =>
  Array.isArray(schema)
    ? schema.some(holdsMark)
    : isObject(schema) && (schema[PHI] === true || Object.values(schema).some(holdsMark));

/** Whether the field at this path of a JSON Schema may hold PHI. An undeclared field may hold anything, so it does. */
export function pathHoldsPhi(schema: unknown, path: readonly string[]): boolean {
  if (!isObject(schema) || schema[PHI] === true) return true;
  const [step, ...rest] = path;
  if (step === undefined) return holdsMark(schema);
  const forms = (Array.isArray(schema["anyOf"]) ? schema["anyOf"] : [schema]) as Json[];
  return forms
    .filter((form) => form["type"] !== "null")
    .some((form) => {
      if (form !== schema && form[PHI] === true) return true;
      const properties = form["properties"];
      const inner = isObject(properties)
        ? Object.hasOwn(properties, step) && properties[step]
        : form["additionalProperties"];
      return pathHoldsPhi(inner || undefined, rest);
    });
}
