import { createPace } from "./pace.ts";
import type { Destination } from "./routes.ts";
import type { Sender } from "./send.ts";

/** Sends to a destination as its definition is now. */
export interface LiveSender {
  send: Sender["send"];
  /** Resolves when the destination's `rate` allows the next request, or the signal aborts. */
  pace: ReturnType<typeof createPace>;
  /** Uses this definition from the next request on; requests in progress end as they began. */
  update(next: Destination): void;
  close(): Promise<void>;
}

/** @param open opens the connections of a definition */
export function createLiveSender(destination: Destination, open: (to: Destination) => Sender): LiveSender {
  let sender = open(destination);
  let pace = createPace(destination.rate);
  /** Senders of earlier definitions that still have requests in progress. */
  const ending = new Set<Sender>();
  return {
    send: (body, traceparent) => sender.send(body, traceparent),
    pace: (signal) => pace(signal),
    update(next) {
      const old = sender;
      sender = open(next);
      pace = createPace(next.rate);
      ending.add(old);
      void old.end().finally(() => ending.delete(old));
    },
    close: async () => void (await Promise.all([sender, ...ending].map((one) => one.close()))),
  };
}
