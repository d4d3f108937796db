import { z } from "zod";
import type { OrderingKey } from "../ordering-key.ts";

/**
 * The whole story of one event that the CAD broadcasts. What the CAD sends is not trustworthy: schemas take extra
 * keys, and what does not parse is counted as malformed, never thrown.
 */
export interface CadEvent<Payload = unknown> {
  name: string;
  summary: string;
  payload: z.ZodType<Payload>;
  /** The unit and the incident that it is about. */
  keys(payload: Payload): OrderingKey[];
  examples: readonly [Record<string, unknown>, ...Record<string, unknown>[]];
}

/** Declares an event; the payload's type follows from its schema. */
export const defineEvent = <Payload>(event: CadEvent<Payload>) => event;

/** An id as the CAD sends it: a text, or the number that a database made of one. */
export const cadId = z.union([z.string().min(1), z.number()]).transform(String);

/** A field that may be missing or null: both mean that the CAD does not say. */
export const maybe = <T extends z.ZodType>(schema: T) => schema.nullish();
