import type { Micros } from "../util/time.ts";

/** Ids of entries in a Redis stream: `MILLISECONDS-SEQUENCE`, both of up to 64 bits. */

/** Sorts before every entry of a stream. */
export const START = "0-0";

/** True for a text that is the id of an entry. */
export const isEntryId = (text: string): boolean => /^\d{1,16}-\d{1,16}$/.test(text);

/** A time as the start of an id, for ranges. */
export const idTime = (at: Micros): string => String(Math.max(0, Math.floor(at / 1000)));

/** When an entry was stored, by Redis's clock. */
export const timeOfId = (id: string): Micros => Number(id.split("-", 1)[0]) * 1000;

/** BigInt only where a number would be inexact: ids are compared for every entry and handler. */
const toInteger = (digits: string): number | bigint => (digits.length > 15 ? BigInt(digits) : Number(digits));

function partsOf(id: string): [ms: number | bigint, sequence: number | bigint] {
  const dash = id.indexOf("-");
  return dash < 0 ? [toInteger(id), 0] : [toInteger(id.slice(0, dash)), toInteger(id.slice(dash + 1))];
}

const compare = (a: number | bigint, b: number | bigint): number => (a < b ? -1 : a > b ? 1 : 0);

/** Negative, zero or positive if the first id sorts before, equals or sorts after the second. */
export function compareIds(a: string, b: string): number {
  const [aMs, aSequence] = partsOf(a);
  const [bMs, bSequence] = partsOf(b);
  return compare(aMs, bMs) || compare(aSequence, bSequence);
}

/** The next possible id. */
export function idAfter(id: string): string {
  const [ms, sequence] = partsOf(id);
  return `${ms}-${BigInt(sequence) + 1n}`;
}

/** An id between the previous entry and this one: what follows it starts with this entry. */
export function idBefore(id: string): string {
  const [ms, sequence] = partsOf(id);
  return sequence > 0 ? `${ms}-${BigInt(sequence) - 1n}` : `${BigInt(ms) - 1n}-${Number.MAX_SAFE_INTEGER}`;
}
