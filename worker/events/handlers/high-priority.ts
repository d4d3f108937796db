import { incidentNew } from "../../../shared/events/incident-new.ts";
import { BRIDGE_EVENTS } from "../../../shared/journal/entry.ts";
import { priorityOf } from "../../../shared/vocabulary/words.ts";
import type { Log } from "../../../shared/util/log.ts";
import type { Handler, HandlerTools } from "./handler.ts";

const HIGHEST = 1;

/** Says in the journal, and so to whoever subscribes to `bridge:high-priority`, that an incident of priority 1 was created. */
export function highPriority({ say }: HandlerTools, log: Log): Handler {
  return {
    name: "high-priority",
    what: "a notice for every new incident of priority 1",
    plan({ id, kind, event, keys, payload }) {
      if (kind !== "event" || event !== incidentNew.name || !isHighest(payload)) return undefined;
      return async () => {
        log.warn({ entry: id, about: keys }, "a new incident of the highest priority");
        await say(BRIDGE_EVENTS.highPriority, keys, { entry: id, priority: HIGHEST }, `high-priority:${id}`);
      };
    },
  };
}

/** The CAD passes on what its clients sent: a number, its text or a word. */
const isHighest = (payload: unknown): boolean =>
  priorityOf((payload as { priority?: unknown } | null)?.priority) === HIGHEST;
