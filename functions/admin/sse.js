/** Server-Sent Events out of a stream of text, since an EventSource cannot send a token. Yields { id, event, data }. */
export async function* readEvents(stream) {
  let rest = "";
  for await (const text of streamOf(stream)) {
    const blocks = (rest + text).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      const event = {};
      for (const line of block.split(/\r?\n/)) {
        const [, name, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
        if (name) event[name] = name === "data" && event.data !== undefined ? `${event.data}\n${value}` : value;
      }
      if (event.data !== undefined) yield event;
    }
  }
}

/** Not every browser can loop over a stream. */
async function* streamOf(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
