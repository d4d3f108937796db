/** Microseconds since 1970 by the clock of Redis; below 2^53 until the year 2255. */
export type Micros = number;

/** UTC with microseconds, as in 2026-01-31T22:05:00.123456Z: sorts as text in chronological order. */
export function toIso(micros: Micros): string {
  const fraction = String(micros % 1000).padStart(3, "0");
  return new Date(Math.floor(micros / 1000)).toISOString().replace("Z", `${fraction}Z`);
}

/** Parses an ISO 8601 time, if given. */
export const microsOf = (text: string | undefined): Micros | undefined =>
  text === undefined ? undefined : Date.parse(text) * 1000;

/** Seconds between two times with three decimals, for people. */
export const secondsBetween = (from: Micros, to: Micros): number => Math.max(0, Math.round((to - from) / 1000) / 1000);

export const nowMicros = (): Micros => Date.now() * 1000;
