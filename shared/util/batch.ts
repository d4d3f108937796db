/**
 * Collects items while an earlier batch is in flight and then sends them together: a single item goes out at once, a flood in
 * batches of at most `max`. Answers are in the order of the items.
 */
export function batched<Item, Answer>(
  run: (items: Item[]) => Promise<Answer[]>,
  max = 128,
): (item: Item) => Promise<Answer> {
  type Waiting = { item: Item; resolve(answer: Answer): void; reject(error: unknown): void };
  let waiting: Waiting[] = [];
  let busy = false;

  async function drain(): Promise<void> {
    busy = true;
    while (waiting.length > 0) {
      const batch = waiting.slice(0, max);
      waiting = waiting.slice(max);
      try {
        const answers = await run(batch.map((w) => w.item));
        batch.forEach((w, i) => {
          const answer = answers[i];
          if (answer === undefined) w.reject(new Error("a batch answered fewer items than it was asked"));
          else w.resolve(answer);
        });
      } catch (error) {
        for (const w of batch) w.reject(error);
      }
    }
    busy = false;
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      // One tick later, so that items that arrived together go out together.
      if (!busy) {
        busy = true;
        queueMicrotask(() => void drain());
      }
    });
}
