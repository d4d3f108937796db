import { BRIDGE_EVENTS } from "../../../shared/journal/entry.ts";
import { priorityOf } from "../../../shared/vocabulary/words.ts";
import type { Log } from "../../../shared/util/log.ts";
import type { Handler, HandlerTools } from "./handler.ts";
import { onEvents } from "./on-events.ts";

const HIGHEST = 1;

/** Writes `bridge:high-priority` into the journal when an incident of priority 1 was created; destinations can subscribe to it. */
export function highPriority({ say }: HandlerTools, log: Log): Handler {
  return {
    name: "high-priority",
    what: "a notice for every new incident of priority 1",
    plan: onEvents({
      "incident:new": (payload, { id, keys }) => {
        // The CAD passes on what its clients sent: a number, its text or a word.
        if (priorityOf(payload["priority"]) !== HIGHEST) return undefined;
        return async () => {
          log.warn({ entry: id, about: keys }, "a new incident of the highest priority");
          await say(BRIDGE_EVENTS.highPriority, keys, { entry: id, priority: HIGHEST }, `high-priority:${id}`);
        };
      },
    }),
  };
}
