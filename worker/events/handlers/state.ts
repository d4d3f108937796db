import { eventNamed } from "../../../shared/events/table.ts";
import type { ApplyChange } from "../../../shared/state/apply.ts";
import type { Handler } from "./handler.ts";

/** Keeps the state of each unit and incident, which GET /units and /incidents return. Each event declares its changes. */
export function state(apply: ApplyChange): Handler {
  return {
    name: "state",
    what: "the last known state of units and incidents",
    plan({ kind, event, payload, occurredAt, receivedAt }) {
      const declared = kind === "event" || kind === "bridge" ? eventNamed(event) : undefined;
      if (!declared) return undefined;
      return async () => {
        const parsed = declared.payload.safeParse(payload);
        if (!parsed.success) return;
        const at = occurredAt ?? receivedAt;
        await Promise.all(declared.changes(parsed.data).map((change) => apply(change, at)));
      };
    },
  };
}
