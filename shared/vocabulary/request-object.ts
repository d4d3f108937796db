import { z } from "zod";

/** Objects of requests in which null means absent: the API docs describe their optional fields accordingly. */
const nullIsAbsent = z.registry<object>();
export const takesNull = (schema: z.core.$ZodType): boolean => nullIsAbsent.has(schema);

/**
 * An object of a request: no other fields than these, and null means absent. Objects passed through unchanged (`details`,
 * `billing_data`) are not made with it, so they keep their nulls.
 */
export const requestObject = <const Shape extends z.core.$ZodLooseShape>(shape: Shape) => {
  const object = z.strictObject(shape).register(nullIsAbsent, {});
  return z.preprocess<unknown, typeof object, OrNull<z.input<typeof object>>>(withoutNulls, object);
};

/** For types only: optional fields of a request may be null. */
type OrNull<Given> = { [Name in keyof Given]: undefined extends Given[Name] ? Given[Name] | null : Given[Name] };

function withoutNulls(given: unknown): unknown {
  if (typeof given !== "object" || given === null || Array.isArray(given)) return given;
  if (!Object.values(given).includes(null)) return given;
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
}
