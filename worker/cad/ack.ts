import { withoutQuotes } from "./quotes.ts";

/** The meaning of a CAD's ack. */
export type AckVerdict = { verdict: "yes" } | { verdict: "no"; reason: string; again: boolean };

/**
 * Reads an ack. An empty one means that the CAD took the event; `{ success: false }`, `{ ok: false }`,
 * `{ status: "error" }` or an `error` alone say no, for good unless `retryable: true` stands beside it.
 *
 * @param sent the payload that it answers, of which nothing is to be in the reason
 */
export function parseAck(answer: unknown, sent: unknown): AckVerdict {
  if (answer === false) return { verdict: "no", reason: "the CAD answered false", again: false };
  if (typeof answer !== "object" || answer === null) return { verdict: "yes" };
  const { success, ok, status, error, retryable } = answer as Record<string, unknown>;
  const no = success === false || ok === false || status === "error";
  const yes = success === true || ok === true || status === "ok";
  if (!no && (yes || error === undefined || error === null)) return { verdict: "yes" };
  return { verdict: "no", reason: reasonOf(error, sent), again: retryable === true };
}

/** The CAD's own words, cut short and on one line: they go into receipts and the log. */
function reasonOf(error: unknown, sent: unknown): string {
  const message = typeof error === "object" && error !== null && "message" in error ? error.message : error;
  const text =
    typeof message === "string"
      ? withoutQuotes(message, sent)
          .replace(/\p{Cc}+/gu, " ")
          .trim()
          .slice(0, 200)
      : "";
  return text ? `the CAD said: ${text}` : "the CAD gave no reason";
}
