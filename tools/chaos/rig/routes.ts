import type { JournalEntry } from "../../../shared/journal/entry.ts";

/** The destinations of the CAD's events: one gets all of them, the other those of statuses and incidents. */
export const DESTINATIONS = {
  everything: ["*"],
  dispatch: ["unit:status:updated", "incident:*", "assignment:*"],
} as const;
export type DestinationName = keyof typeof DESTINATIONS;
export const DESTINATION_NAMES = Object.keys(DESTINATIONS) as DestinationName[];

/** Short, so that a run ends: the first delays suit a service that fails now and then, all of them one that is down. */
const RETRY_S = [0.3, 0.5, 1, 2, 2, 3, 3, 5, 5, 10];
const TIMEOUT_MS = 2000;

/** The routes file for these services. */
export const routesFileOf = (services: readonly { id: DestinationName; url: string; secret: string }[]): string =>
  JSON.stringify({
    destinations: services.map((service) => ({ ...service, phi: true, retry_s: RETRY_S, timeout_ms: TIMEOUT_MS })),
    rules: services.map(({ id }) => ({ to: id, events: DESTINATIONS[id] })),
  });

/** Written by hand, since the bridge's own rules are checked against it. */
export function wantedBy({ kind, event }: Pick<JournalEntry, "kind" | "event">): DestinationName[] {
  if (kind === "malformed") return [];
  const dispatch = event === "unit:status:updated" || /^(incident|assignment):/.test(event);
  return dispatch ? [...DESTINATION_NAMES] : ["everything"];
}
