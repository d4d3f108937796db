import { z } from "zod";
import type { OrderingKey, Room } from "../vocabulary/ordering-key.ts";

/**
 * The whole story of one event that the CAD broadcasts. What the CAD sends is not trustworthy: schemas take extra
 * keys, and what does not parse is kept as malformed, never thrown.
 */
export interface CadEvent<Payload = unknown> {
  name: string;
  summary: string;
  payload: z.ZodType<Payload>;
  /** The unit and the incident that it is about. */
  keys(payload: Payload): OrderingKey[];
  /** The changes of units and incidents that it reports: the state that GET /units and /incidents return. */
  changes(payload: Payload): Change[];
  /** When it happened, if the payload has it; see `occurredAt` for what every event may carry. */
  occurred?(payload: Payload): string | null | undefined;
  examples: readonly [Record<string, unknown>, ...Record<string, unknown>[]];
}

/** One thing that is known of a unit or an incident: the newest value of an aspect counts. */
export interface Change {
  about: Room;
  aspect: string;
  value: unknown;
}

/** Declares an event; the payload's type follows from its schema, and the name is kept as a literal. */
export const defineEvent = <const Name extends string, Payload>(event: CadEvent<Payload> & { name: Name }) => event;

/** An id as the CAD sends it: a text, or the number that a database made of one. Redis cannot keep half of a surrogate pair. */
export const cadId = z.union([z.string().min(1).max(200), z.number()]).transform((id) => String(id).toWellFormed());

/** A field that may be missing or null: both mean that the CAD does not say. */
export const maybe = <T extends z.ZodType>(schema: T) => schema.nullish();

/** What a CAD that can replay its events puts into each of them, beside what the event is about. */
const marks = z.looseObject({
  eventId: z.string().min(1).max(200).nullish().catch(undefined),
  occurredAt: z.string().nullish().catch(undefined),
});

/** The CAD's own id and time of the event; undefined if it gives none. */
export function marksOf(payload: unknown): { eventId: string | undefined; occurredAt: string | undefined } {
  const { data } = marks.safeParse(payload);
  return { eventId: data?.eventId ?? undefined, occurredAt: data?.occurredAt ?? undefined };
}
