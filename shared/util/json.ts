/** What somebody else wrote into Redis stops nobody who reads it: it is told so. */
export const UNREADABLE = "it stands in Redis in a form that the bridge does not write";

/** What a text says in JSON; undefined if it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A list of texts in JSON; undefined for anything else. */
export function parseList(text: string): string[] | undefined {
  const list = parseJson(text);
  return Array.isArray(list) ? list.map(String) : undefined;
}
