/** One event of a stream (HTML, 9.2). */
export interface SseEvent {
  event: string;
  data: string;
  /** The last id that the stream had; undefined if it had none yet. */
  id: string | undefined;
}

/** The longest event, characters: the CAD's messages have 1 MB at most, which JSON may make six times as long. */
const MAX_EVENT = 8 * 1024 * 1024;

/** Throws a RangeError for an event without end. Returns the events that a piece of text completes. */
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
    // A CR at the end may be half of a CRLF: it waits for what follows.
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    if (size + rest.length > MAX_EVENT) throw new RangeError(`an event is longer than ${MAX_EVENT} characters`);
    return lines.flatMap((line) => take(line) ?? []);
  };
}
