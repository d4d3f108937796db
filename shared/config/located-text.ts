import { LineCounter, parseDocument } from "yaml";
import type { Fault } from "../util/issues.ts";

/** A configuration file in YAML or JSON that could be read. */
export interface LocatedText {
  raw: unknown;
  /** The line of the value at this path, or of what lacks it. */
  lineOf(path: readonly PropertyKey[]): number;
}

/** @param wrong is called for each place that is no YAML; then there is no text. Never with anything of the file. */
export function parseLocated(text: string, wrong: (problem: string) => void): LocatedText | undefined {
  const lines = new LineCounter();
  // Pretty errors would show the text, and secrets with it.
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

/** Each fault with its line and place in the file, in the order of the lines. */
export function listFaults(faults: readonly Fault[], { lineOf }: LocatedText): string[] {
  const placed = faults.map((fault) => ({ ...fault, line: lineOf(fault.path) }));
  return placed
    .toSorted((a, b) => a.line - b.line)
    .map(({ line, path, message }) => `line ${line}: ${placeOf(path)}: ${message}`);
}

const placeOf = (path: readonly PropertyKey[]): string =>
  path.map((step, i) => (typeof step === "number" ? `[${step}]` : `${i > 0 ? "." : ""}${String(step)}`)).join("") ||
  "(the file)";
