/** The metrics of one of several sources, and the labels that distinguish it. */
export interface Labelled {
  labels: Readonly<Record<string, string>>;
  /** In the text format. */
  text: string;
}

const NAME = /^# (?:HELP|TYPE) (\S+)/;

/**
 * Merges several expositions: the format lists each metric once, with all of its samples together. Label values must contain
 * neither quotes nor backslashes.
 */
export function mergeExpositions(all: readonly Labelled[]): string {
  const families = new Map<string, { head: Set<string>; rows: string[] }>();
  for (const { labels, text } of all) {
    const pairs = Object.entries(labels)
      .map(([name, value]) => `${name}="${value}"`)
      .join(",");
    let family = { head: new Set<string>(), rows: new Array<string>() };
    for (const line of text.split("\n")) {
      const name = NAME.exec(line)?.[1];
      if (name !== undefined) {
        family = families.get(name) ?? { head: new Set(), rows: [] };
        families.set(name, family);
        family.head.add(line);
      } else if (line !== "" && !line.startsWith("#")) family.rows.push(withLabels(line, pairs));
    }
  }
  const lines = [...families.values()].flatMap(({ head, rows }) => (rows.length > 0 ? [...head, ...rows] : []));
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

function withLabels(row: string, pairs: string): string {
  if (pairs === "") return row;
  const [, name = "", rest = ""] = /^([\w:]+)(.*)$/s.exec(row) ?? [];
  return rest.startsWith("{}") || !rest.startsWith("{")
    ? `${name}{${pairs}}${rest.replace(/^\{\}/, "")}`
    : `${name}{${pairs},${rest.slice(1)}`;
}
