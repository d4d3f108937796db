import { pointer, type WrongField } from "./problem.ts";

/** Deeper than any body of the API, and far below the stack limit. */
const MAX_DEPTH = 32;
/** Maximum number of faults reported. */
const MAX_FAULTS = 20;

/** The result: a value, or why it is not acceptable. */
type StrictJson = { value: unknown } | { notJson: string } | { faults: WrongField[] };

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads I-JSON (RFC 7493): JSON that all parsers read alike. Also reports what no body should contain: names that reach into
 * JavaScript's prototypes, control characters, and deep nesting.
 */
export function readStrictJson(bytes: ArrayBuffer): StrictJson {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return { notJson: "The body is not UTF-8." };
  }
  if (text.startsWith("\uFEFF")) return { notJson: "The body begins with a byte order mark." };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { notJson: "The body is not valid JSON." };
  }
  const faults = findFaults(text);
  return faults.length > 0 ? { faults } : { value };
}

/** An object or array being read: its names so far, and the current position in it. */
interface Level {
  names: Set<string> | undefined;
  at: string | number;
  wantsName: boolean;
}

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],]|[-\dtfn][^\s,\]}]*/g;
const REACHING: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);
// oxlint-disable-next-line no-control-regex -- it is what is looked for; tab and line ends have their place in a text
const CONTROL = /[\0-\x08\v\f\x0e-\x1f\x7f-\x9f]/;

/** The text is valid JSON: only looks for what JSON.parse accepts or loses silently. */
function findFaults(text: string): WrongField[] {
  const faults: WrongField[] = [];
  const levels: Level[] = [];
  const report = (detail: string, name?: string) => {
    const path = levels.slice(0, name === undefined ? undefined : -1).map((level) => level.at);
    faults.push({ pointer: pointer(name === undefined ? path : [...path, name]), detail });
  };

  for (const [token] of text.matchAll(TOKEN)) {
    const level = levels.at(-1);
    if (faults.length >= MAX_FAULTS) break;
    if (token === "{" || token === "[") {
      if (levels.length >= MAX_DEPTH) {
        report(`is nested deeper than ${MAX_DEPTH} levels`);
        break;
      }
      levels.push({ names: token === "{" ? new Set() : undefined, at: token === "{" ? "" : 0, wantsName: true });
    } else if (token === "}" || token === "]") levels.pop();
    else if (token === ",") {
      if (typeof level?.at === "number") level.at += 1;
      else if (level) level.wantsName = true;
    } else if (token.startsWith('"')) {
      const string = token.includes("\\") ? (JSON.parse(token) as string) : token.slice(1, -1);
      const isName = level?.names !== undefined && level.wantsName;
      const wrong = wrongString(string) ?? (isName ? wrongName(string, level.names) : undefined);
      if (isName) {
        level.names?.add(string);
        level.at = string;
        level.wantsName = false;
      }
      if (wrong) report(wrong, isName ? string.toWellFormed() : undefined);
    } else {
      const wrong = wrongNumber(token);
      if (wrong) report(wrong);
    }
  }
  return faults;
}

function wrongName(name: string, names: ReadonlySet<string> | undefined): string | undefined {
  if (REACHING.has(name)) return "is a reserved key";
  return names?.has(name) ? "is a duplicate key" : undefined;
}

function wrongString(string: string): string | undefined {
  if (CONTROL.test(string)) return "contains a control character";
  return string.isWellFormed() ? undefined : "contains half of a surrogate pair";
}

/** A number that a parser would silently change. */
function wrongNumber(token: string): string | undefined {
  if (/^[tfn]/.test(token)) return undefined;
  const number = Number(token);
  if (!Number.isFinite(number)) return "is a number too large to represent";
  if (Number.isInteger(number) && !Number.isSafeInteger(number)) return "is an integer beyond 2^53 - 1";
  return number === 0 && /^[^eE]*[1-9]/.test(token) ? "is a number too small to represent" : undefined;
}
