import { z } from "zod";
import { Problem } from "./problem.ts";

/** Maximum wait for the final state, s. */
export const MAX_WAIT_S = 30;
/** Maximum time to live that a client may request, s: one week. */
const MAX_TTL_S = 7 * 24 * 3600;

/** 1 to 255 printable ASCII characters. */
export const idempotencyKeySchema = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[\x20-\x7e]*$/);
/** Whole seconds. */
export const ttlSchema = z.int().min(1).max(MAX_TTL_S);

export function idempotencyKey(value: string | undefined): string | undefined {
  if (value === undefined || idempotencyKeySchema.safeParse(value).success) return value;
  throw new Problem("invalid-header", "Idempotency-Key must be 1 to 255 printable ASCII characters.");
}

export function commandTtl(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const { data } = ttlSchema.safeParse(/^\d+$/.test(value) ? Number(value) : undefined);
  if (data !== undefined) return data;
  throw new Problem("invalid-header", `Command-TTL must be whole seconds from 1 to ${MAX_TTL_S}.`);
}

/** Prefer: wait=N (RFC 7240), in seconds. An invalid preference is ignored, never an error. */
export function preferredWait(value: string | undefined): number | undefined {
  const [, seconds] = /(?:^|,)\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:[,;]|$)/i.exec(value ?? "") ?? [];
  return seconds === undefined ? undefined : Math.min(Number(seconds), MAX_WAIT_S);
}
