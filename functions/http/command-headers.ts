import { Problem } from "./problem.ts";

/** The longest that an answer waits for the final state, s. */
export const MAX_WAIT_S = 30;
/** The longest time to live that a client may ask for, s: a week. */
const MAX_TTL_S = 7 * 24 * 3600;

/** Idempotency-Key: 1 to 255 printable ASCII characters. */
export function idempotencyKey(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (/^[\x20-\x7e]{1,255}$/.test(value)) return value;
  throw new Problem("invalid-header", "Idempotency-Key must be 1 to 255 printable ASCII characters.");
}

/** Command-TTL: whole seconds. */
export function commandTtl(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const seconds = /^\d{1,7}$/.test(value) ? Number(value) : 0;
  if (seconds >= 1 && seconds <= MAX_TTL_S) return seconds;
  throw new Problem("invalid-header", `Command-TTL must be whole seconds from 1 to ${MAX_TTL_S}.`);
}

/** Prefer: wait=N (RFC 7240), in seconds. A preference is never an error: one that makes no sense is ignored. */
export function preferredWait(value: string | undefined): number | undefined {
  const [, seconds] = /(?:^|,)\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:[,;]|$)/i.exec(value ?? "") ?? [];
  return seconds === undefined ? undefined : Math.min(Number(seconds), MAX_WAIT_S);
}
