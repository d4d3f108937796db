/** A chunk is closed once it has so many characters: what is on its way to a slow reader stays small. */
const CHUNK = 64 * 1024;

/** The event that says how far a stream has come. It is no entry of the journal. */
export const POSITION_EVENT = "bridge:position";

/**
 * One event of a stream (HTML, 9.2). The id comes last and in the block of its own data: a client that is cut off in a block, or
 * that takes no id without data, resumes after the last event that it dispatched.
 *
 * @param event may come from the CAD: line breaks in it would make fields of their own
 * @param data one line, not empty
 */
export function sseEvent(id: string, event: string, data: string): string {
  return `event: ${event.replaceAll(/\p{Cc}/gu, " ")}\ndata: ${data}\nid: ${id}\n\n`;
}

/** How far the stream has come, for a client to resume from. Every entry up to `id` that it wants was written before. */
export const ssePosition = (id: string): string => sseEvent(id, POSITION_EVENT, JSON.stringify({ position: id }));

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
