/** One event of a stream (HTML, 9.2). */
export interface SseEvent {
  event: string;
  data: string;
  /** The stream's last id; undefined if it had none yet. */
  id: string | undefined;
}

/** Limit of an event's size, characters: CAD messages have at most 1 MB, which JSON may expand sixfold. */
const MAX_EVENT = 8 * 1024 * 1024;

/** Returns a parser: it returns the events that a chunk completes, and throws a RangeError for an unterminated event. */
export function createSseParser(): (text: string) => SseEvent[] {
  let rest = "";
  let size = 0;
  let event = "";
  let data: string[] = [];
  let id: string | undefined;

  function dispatch(): SseEvent | undefined {
    const found = data.length > 0 ? { event: event || "message", data: data.join("\n"), id } : undefined;
    [event, data, size] = ["", [], 0];
    return found;
  }

  function take(line: string): SseEvent | undefined {
    if (line === "") return dispatch();
    size += line.length;
    const [, field = "", value = ""] = /^([^:]*)(?:: ?([^]*))?$/.exec(line) ?? [];
    if (field === "event") event = value;
    else if (field === "data") data.push(value);
    else if (field === "id" && !value.includes("\0")) id = value;
    return undefined;
  }

  return (text) => {
    // A trailing CR may be the first half of a CRLF: it waits for the next chunk.
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    if (size + rest.length > MAX_EVENT) throw new RangeError(`an event is longer than ${MAX_EVENT} characters`);
    return lines.flatMap((line) => take(line) ?? []);
  };
}
