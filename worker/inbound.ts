import type { CadEvent } from "../shared/events/event.ts";
import type { WorkerHealth } from "../shared/health.ts";
import type { Log } from "../shared/log.ts";

/** Takes the CAD's events: parses, counts and logs each. Whatever the CAD sends, it never throws. */
export interface Inbound {
  handle(event: string, payload: unknown, own: string | undefined): void;
  counts(): WorkerHealth["events"];
  /** How many kinds of events it has a handler for. */
  registered: number;
}

/** Events that the bridge does not know are counted together: their names come from outside and have no bound. */
const UNKNOWN = "(unknown)";

export function createInbound(events: readonly CadEvent[], log: Log): Inbound {
  const known = new Map(events.map((event) => [event.name, event]));
  const counts = new Map([...known.keys(), UNKNOWN].map((name) => [name, { received: 0, malformed: 0 }]));

  return {
    registered: known.size,
    counts: () => Object.fromEntries(counts),
    handle(name, payload, own) {
      const event = known.get(name);
      const count = counts.get(event ? name : UNKNOWN);
      if (count) count.received += 1;
      if (!event) return log.info({ event: name.slice(0, 100) }, "an event that the bridge does not know");
      const parsed = event.payload.safeParse(payload);
      if (parsed.success) {
        // The echo of an own command says what the line of its outcome says as well.
        const say = own === undefined ? log.info.bind(log) : log.debug.bind(log);
        say({ event: name, about: event.keys(parsed.data), own_command: own }, "event");
      } else {
        if (count) count.malformed += 1;
        const wrong = parsed.error.issues.map((issue) => issue.path.join(".") || "(the payload)");
        log.warn({ event: name, wrong }, "an event whose payload does not parse");
      }
    },
  };
}
