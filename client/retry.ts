import type { SocketBridgeError } from "./errors.ts";

/** The first and the longest pause between two attempts, ms, unless the bridge asks for more. */
const FROM_MS = 250;
const TO_MS = 5000;

/** Doubles with each attempt; the upper half is random, so that many clients do not return at once. */
export function backoffMs(attempt: number, random: () => number): number {
  const full = Math.min(TO_MS, FROM_MS * 2 ** Math.min(attempt - 1, 10));
  return Math.round(full / 2 + (full / 2) * random());
}

const REPEATABLE_STATUS: ReadonlySet<number> = new Set([408, 425, 429, 502, 503, 504]);
const REPEATABLE_CODES: ReadonlySet<string> = new Set(["network", "timeout", "token-unavailable", "internal"]);
/** Final whatever their status: the bridge answers 502 for a command that it could not deliver. */
const FINAL_CODES: ReadonlySet<string> = new Set(["undeliverable"]);

/** Whether the same request, with the same Idempotency-Key, may succeed later. */
export const isRepeatable = ({ code, status }: SocketBridgeError): boolean =>
  !FINAL_CODES.has(code) && (REPEATABLE_CODES.has(code) || (status !== undefined && REPEATABLE_STATUS.has(status)));

/** Whether the bridge may have accepted the request: it did not answer, or reports that it does not know. */
export const isUnanswered = ({ code, status }: SocketBridgeError): boolean =>
  ["network", "timeout", "aborted", "internal", "redis-unavailable"].includes(code) ||
  (code === "unexpected-response" && (status ?? 0) >= 500);

/** Pause before attempt `attempt` + 1, ms; undefined if a retry is useless or would start after the deadline. */
export function pauseBefore(
  failure: SocketBridgeError,
  attempt: number,
  leftMs: number,
  random: () => number,
): number | undefined {
  if (!isRepeatable(failure)) return undefined;
  const pause = Math.max(backoffMs(attempt, random), failure.retryAfterMs ?? 0);
  return pause < leftMs ? pause : undefined;
}

/** Ends early, without an error, if the signal aborts. */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end, { once: true });
  });
}
