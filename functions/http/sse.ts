/** A chunk is closed at this many characters, which bounds the data in flight to a slow reader. */
const CHUNK = 64 * 1024;

/** Reports the position of a stream. Not a journal entry. */
export const POSITION_EVENT = "bridge:position";

/**
 * One event of a stream (HTML, 9.2). The id comes last, in the same block as its data: a client that is cut off within a
 * block, or that ignores ids without data, resumes after the last event it dispatched.
 * @param event may come from the CAD: line breaks in it would inject fields
 * @param data one line, not empty
 */
export function sseEvent(id: string, event: string, data: string): string {
  return `event: ${event.replaceAll(/\p{Cc}/gu, " ")}\ndata: ${data}\nid: ${id}\n\n`;
}

/** The stream's position, to resume from. Every matching entry up to `id` was written before. */
export const ssePosition = (id: string): string => sseEvent(id, POSITION_EVENT, JSON.stringify({ position: id }));

/** Groups texts into chunks. */
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
