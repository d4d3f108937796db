import { LineCounter, parseDocument } from "yaml";
import type { Fault } from "../util/issues.ts";

/** A parsed configuration file in YAML or JSON. */
export interface LocatedText {
  raw: unknown;
  /** The line of the value at this path, or of its nearest parent if it is missing. */
  lineOf(path: readonly PropertyKey[]): number;
}

/** @param wrong called for each YAML error, without any content of the file; the result is then undefined */
export function parseLocated(text: string, wrong: (problem: string) => void): LocatedText | undefined {
  const lines = new LineCounter();
  // Pretty errors would quote the text, including secrets.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  for (const { code, pos } of document.errors) {
    const { line, col } = lines.linePos(pos[0]);
    wrong(`line ${line}, column ${col}: is not YAML (${code.toLowerCase().replaceAll("_", " ")})`);
  }
  if (document.errors.length > 0) return undefined;
  let raw: unknown;
  try {
    raw = document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch {
    wrong("has an alias that leads nowhere, or too many of them");
    return undefined;
  }
  return {
    raw,
    lineOf(path) {
      for (let length = path.length; length >= 0; length -= 1) {
        const node = document.getIn(path.slice(0, length), true) as { range?: [number, number, number] } | undefined;
        if (node?.range) return lines.linePos(node.range[0]).line;
      }
      return 1;
    },
  };
}

/** Each fault with its line and place in the file, sorted by line. */
export function listFaults(faults: readonly Fault[], { lineOf }: LocatedText): string[] {
  const placed = faults.map((fault) => ({ ...fault, line: lineOf(fault.path) }));
  return placed
    .toSorted((a, b) => a.line - b.line)
    .map(({ line, path, message }) => `line ${line}: ${placeOf(path)}: ${message}`);
}

const placeOf = (path: readonly PropertyKey[]): string =>
  path.map((step, i) => (typeof step === "number" ? `[${step}]` : `${i > 0 ? "." : ""}${String(step)}`)).join("") ||
  "(the file)";
