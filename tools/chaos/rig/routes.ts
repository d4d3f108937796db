import type { JournalEntry } from "../../../shared/journal/entry.ts";

/** The services that get the CAD's events: one all of them, the other what is said of statuses and incidents. */
export const DESTINATIONS = {
  everything: ["*"],
  dispatch: ["unit:status:updated", "incident:*", "assignment:*"],
} as const;
export type DestinationName = keyof typeof DESTINATIONS;
export const DESTINATION_NAMES = Object.keys(DESTINATIONS) as DestinationName[];

/** Short, so that a run ends: the first are for a service that fails now and then, all of them for one that is away. */
const RETRY_S = [0.3, 0.5, 1, 2, 2, 3, 3, 5, 5, 10];
const TIMEOUT_MS = 2000;

/** A routes file for these services. */
export const routesFileOf = (services: readonly { id: DestinationName; url: string; secret: string }[]): string =>
  JSON.stringify({
    destinations: services.map((service) => ({ ...service, phi: true, retry_s: RETRY_S, timeout_ms: TIMEOUT_MS })),
    rules: services.map(({ id }) => ({ to: id, events: DESTINATIONS[id] })),
  });

/** By hand, since it is what the bridge's own rules are judged by. */
export function wantedBy({ kind, event }: Pick<JournalEntry, "kind" | "event">): DestinationName[] {
  if (kind === "malformed") return [];
  const dispatch = event === "unit:status:updated" || /^(incident|assignment):/.test(event);
  return dispatch ? [...DESTINATION_NAMES] : ["everything"];
}
