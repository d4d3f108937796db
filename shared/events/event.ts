import { z } from "zod";
import type { OrderingKey, Room } from "../vocabulary/ordering-key.ts";

/**
 * One event that the CAD broadcasts, as a whole. The CAD's data is not trusted: schemas accept extra keys, and a payload that does
 * not parse is recorded as malformed, never thrown.
 */
export interface CadEvent<Payload = unknown> {
  name: string;
  summary: string;
  payload: z.ZodType<Payload>;
  /** The unit and the incident concerned. */
  keys(payload: Payload): OrderingKey[];
  /** Its changes to units and incidents, which form the state returned by GET /units and /incidents. */
  changes(payload: Payload): Change[];
  /** When it happened, if the payload contains it; see `occurredAt` for the field that every event may have. */
  occurred?(payload: Payload): string | null | undefined;
  examples: readonly [Record<string, unknown>, ...Record<string, unknown>[]];
}

/** A change of one aspect of a unit or an incident; the newest value of an aspect counts. */
export interface Change {
  about: Room;
  aspect: string;
  value: unknown;
}

/** Declares an event; the payload's type is inferred from its schema, and the name is kept as a literal. */
export const defineEvent = <const Name extends string, Payload>(event: CadEvent<Payload> & { name: Name }) => event;

/** An id as the CAD sends it: a text, or a database's number. Redis cannot store lone surrogates. */
export const cadId = z.union([z.string().min(1).max(200), z.number()]).transform((id) => String(id).toWellFormed());

/** A field that may be missing or null: the CAD does not provide it. */
export const maybe = <T extends z.ZodType>(schema: T) => schema.nullish();

/** Fields that a CAD with replay adds to each event. */
const marks = z.looseObject({
  eventId: z.string().min(1).max(200).nullish().catch(undefined),
  occurredAt: z.string().nullish().catch(undefined),
});

/** The CAD's own id and time of the event; undefined if absent. */
export function marksOf(payload: unknown): { eventId: string | undefined; occurredAt: string | undefined } {
  const { data } = marks.safeParse(payload);
  return { eventId: data?.eventId ?? undefined, occurredAt: data?.occurredAt ?? undefined };
}
