/** The fault of an entry whose stored text cannot be parsed, which must not break its readers. */
export const UNREADABLE = "it stands in Redis in a form that the bridge does not write";

/** A parsed JSON text; undefined if it is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A JSON list of texts; undefined for anything else. */
export function parseList(text: string): string[] | undefined {
  const list = parseJson(text);
  return Array.isArray(list) ? list.map(String) : undefined;
}
