import type { z } from "zod";
import { assignmentReceived } from "./assignment-received.ts";
import type { CadEvent } from "./event.ts";
import { incidentNew } from "./incident-new.ts";
import { incidentStatusUpdated } from "./incident-status-updated.ts";
import { incidentTimestampUpdated } from "./incident-timestamp-updated.ts";
import { metricsUpdatedEvent } from "./metrics-updated.ts";
import { transportCompletedEvent } from "./transport-completed.ts";
import { unitLocationUpdated } from "./unit-location-updated.ts";
import { unitStatusUpdated } from "./unit-status-updated.ts";

/** Every event of the CAD that the bridge knows. To add one: its file, and a line here. */
const TABLE = [
  unitLocationUpdated,
  unitStatusUpdated,
  incidentStatusUpdated,
  incidentTimestampUpdated,
  incidentNew,
  assignmentReceived,
  transportCompletedEvent,
  metricsUpdatedEvent,
] as const satisfies readonly CadEvent[];

export const events: readonly CadEvent[] = TABLE;

export type EventName = (typeof TABLE)[number]["name"];
/** The payload of an event, as parsed by its schema. */
export type PayloadOf<Name extends EventName> = z.output<Extract<(typeof TABLE)[number], { name: Name }>["payload"]>;

const byName = new Map(events.map((event) => [event.name, event]));

/** The event with that name; undefined for an unknown one. */
export const eventNamed = (name: string): CadEvent | undefined => byName.get(name);
