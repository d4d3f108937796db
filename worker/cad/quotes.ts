const WORD = /[\p{L}\p{N}]+/gu;
/** Shorter words identify nobody, and a text without them could not be read any more. */
const SHORTEST = 3;
/** What receipts show anyway: what the payload is about, and who sent it. */
const SHOWN = new Set(["unitId", "incidentId", "context"]);

/**
 * The CAD's words without those that it was sent: a CAD that refuses a payload may quote it, and its words go into
 * receipts, the log and Redis, where no patient's name belongs. Each word of the payload's values becomes `…`.
 */
export function withoutQuotes(words: string, sent: unknown): string {
  const sentWords = new Set(valuesOf(sent, SHOWN).flatMap(wordsOf));
  const plain = words.replace(/\\u([0-9a-f]{4})/gi, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
  return plain.normalize("NFC").replace(WORD, (word) => (sentWords.has(word.toLowerCase()) ? "…" : word));
}

const wordsOf = (value: string): string[] =>
  (value.normalize("NFC").toLowerCase().match(WORD) ?? []).filter((word) => word.length >= SHORTEST);

function valuesOf(sent: unknown, except: ReadonlySet<string> = new Set()): string[] {
  if (typeof sent === "string" || typeof sent === "number") return [String(sent)];
  if (typeof sent !== "object" || sent === null) return [];
  return Object.entries(sent).flatMap(([field, value]) => (except.has(field) ? [] : valuesOf(value)));
}
