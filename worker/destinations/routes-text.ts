import { LineCounter, parseDocument } from "yaml";

/** A routes file in YAML or JSON that could be read. */
export interface RoutesText {
  raw: unknown;
  /** The line of the value at this path, or of what lacks it. */
  lineOf(path: readonly PropertyKey[]): number;
}

/** @param wrong is called for each place that is no YAML; then there is no text. Never with anything of the file. */
export function parseRoutes(text: string, wrong: (problem: string) => void): RoutesText | undefined {
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
