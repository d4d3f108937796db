/** A chunk is closed once it has so many characters: what is on its way to a slow reader stays small. */
const CHUNK = 64 * 1024;

/** One event of a stream (HTML, 9.2). A name comes from the CAD: line breaks in it would make fields of their own. */
export function sseEvent(id: string, event: string, data: string): string {
  return `event: ${event.replaceAll(/\p{Cc}/gu, " ")}\nid: ${id}\ndata: ${data}\n\n`;
}

/** Up to where the stream has come, with nothing to tell: a reader that comes back begins there. */
export const ssePosition = (id: string): string => `id: ${id}\n\n`;

/** Gathers texts into chunks. */
export function* chunked(texts: Iterable<string>): Generator<string> {
  let chunk = "";
  for (const text of texts) {
    chunk += text;
    if (chunk.length < CHUNK) continue;
    yield chunk;
    chunk = "";
  }
  if (chunk !== "") yield chunk;
}
