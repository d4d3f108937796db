import { oneLine } from "./one-line.ts";

const MAX_LENGTH = 160;
/** "Error" alone would say nothing. */
const UNNAMED = "an error that does not say what it is";

/**
 * Why something failed, for a log: one short line with more than `Error`. Quoted text may be user input, and a URL may contain a
 * password, so both are left out.
 */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const { code } = error as { code?: unknown };
  // A parser's message quotes its input.
  if (error instanceof SyntaxError) return error.name;
  const text = error.message
    .replaceAll(/\b[a-z][\w+.-]*:\/\/\S+/gi, "(a URL)")
    .replaceAll(/"[^"]*"|'[^']*'|`[^`]*`/g, "…")
    .replaceAll(/\s+/g, " ")
    .trim()
    .slice(0, MAX_LENGTH);
  const name = typeof code === "string" ? code : error.name === "Error" ? "" : error.name;
  return [name, text].filter((part) => part !== "").join(": ") || (error.name === "Error" ? UNNAMED : error.name);
}

/** Why a `fetch` failed, with nothing of its URL. @param who what was asked: "it", "the functions" */
export function whyUnreachable(error: unknown, who: string, withinMs: number): string {
  const { name, cause } = error as { name?: string; cause?: { code?: unknown } };
  if (name === "TimeoutError") return `${who} did not answer within ${withinMs} ms`;
  const code = typeof cause?.code === "string" ? ` (${oneLine(cause.code)})` : "";
  return `${who} cannot be reached${code}`;
}

/** The same for an error whose message may contain anything, such as a patient's name: its kind, and where it was thrown. */
export function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const { code } = error as { code?: unknown };
  if (typeof code === "string") return code;
  if (error.name !== "Error") return error.name;
  const [, place] = /\/((?:shared|worker|functions|tools)\/[\w./-]+:\d+)/.exec(error.stack ?? "") ?? [];
  return place ? `Error at ${place}` : UNNAMED;
}
