/** What a reader of a stream got: as the standard has it (HTML, 9.2.6), and nothing beyond. */
export interface PlainEvent {
  event: string;
  data: string;
  id: string;
}

/** Reads a stream, and comes back at once each time that it ends, until `enough`. Throws for an answer that is no stream. */
export async function readPlainly(
  url: string,
  onEvent: (event: PlainEvent) => void,
  enough: () => boolean,
): Promise<void> {
  let lastEventId = "";
  while (!enough()) {
    const leaving = new AbortController();
    const headers = lastEventId === "" ? {} : { "Last-Event-ID": lastEventId };
    const response = await fetch(url, { headers, signal: leaving.signal });
    if (!response.ok || !response.body) throw new Error(`${response.status}: ${await response.text()}`);
    const parser = createPlainParser(lastEventId, (event) => {
      lastEventId = parser.lastEventId();
      onEvent(event);
      if (enough()) leaving.abort();
    });
    const decoder = new TextDecoder();
    try {
      for await (const bytes of response.body) parser.feed(decoder.decode(bytes, { stream: true }));
    } catch {
      // It was cut: what came of the last block is dropped.
    }
    lastEventId = parser.lastEventId();
  }
}

function createPlainParser(begin: string, onEvent: (event: PlainEvent) => void) {
  let rest = "";
  let buffered = begin;
  let last = begin;
  let [event, data] = ["", ""];

  function dispatch(): void {
    last = buffered;
    if (data !== "") onEvent({ event: event || "message", data: data.slice(0, -1), id: last });
    [event, data] = ["", ""];
  }
  function take(line: string): void {
    if (line === "") return dispatch();
    const [, name = "", value = ""] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (name === "event") event = value;
    if (name === "data") data += `${value}\n`;
    if (name === "id") buffered = value;
  }
  return {
    lastEventId: () => last,
    feed(text: string): void {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) take(line);
    },
  };
}
