import { z } from "zod";

/** The objects of requests, in which null is the same as absent: the API's document says so of their optional fields. */
const nullIsAbsent = z.registry<object>();
export const takesNull = (schema: z.core.$ZodType): boolean => nullIsAbsent.has(schema);

/**
 * An object of a request: no other fields than these, and one that is null counts as absent. Objects that go along as they
 * are (`details`, `billing_data`) are not made with it, so they keep their nulls.
 */
export const requestObject = <const Shape extends z.core.$ZodLooseShape>(shape: Shape) => {
  const object = z.strictObject(shape).register(nullIsAbsent, {});
  return z.preprocess<unknown, typeof object, OrNull<z.input<typeof object>>>(withoutNulls, object);
};

/** Of a request, for its types alone: what is optional may be null. */
type OrNull<Given> = { [Name in keyof Given]: undefined extends Given[Name] ? Given[Name] | null : Given[Name] };

function withoutNulls(given: unknown): unknown {
  if (typeof given !== "object" || given === null || Array.isArray(given)) return given;
  if (!Object.values(given).includes(null)) return given;
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
}
