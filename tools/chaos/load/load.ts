import type { Random } from "../../simulator/random.ts";

/** The commands that the producers post. Their keys are written by hand, since the bridge is checked against them. */

const UNITS = 200;
const INCIDENTS = 100;

export interface Post {
  path: string;
  body: Record<string, unknown>;
  keys: string[];
}

type Make = (pick: { unit: string; incident: string; random: Random; count: number }) => Post;

const UNIT_STATUSES = ["dispatched", "enroute", "onscene", "transport", "hospital", "available"];
const INCIDENT_STATUSES = ["ASSIGNED", "EN_ROUTE", "AT_FACILITY", "TRANSPORTING", "COMPLETED"];
const FIELDS = ["dispatched_at", "enroute_at", "onscene_at", "transport_at", "hospital_at", "available_at"];
const HOURS_AGO_MS = 5 * 3_600_000;

const oneOf = (list: readonly string[], random: Random): string => list[Math.floor(random() * list.length)] ?? "";

/** Share of each kind among the commands posted, in percent. */
const KINDS: readonly [share: number, make: Make][] = [
  [
    20,
    ({ unit, random }) => ({
      path: "units/status",
      body: { unit_id: unit, status: oneOf(UNIT_STATUSES, random) },
      keys: [`unit:${unit}`],
    }),
  ],
  [
    25,
    ({ unit, incident, random }) => ({
      path: "units/status",
      body: { unit_id: unit, incident_id: incident, status: oneOf(UNIT_STATUSES, random) },
      keys: [`unit:${unit}`, `incident:${incident}`],
    }),
  ],
  [
    15,
    ({ unit, random, count }) => ({
      path: "units/location",
      body: { unit_id: unit, latitude: 37 + (count % 10_000) / 10_000, longitude: -122 - random() },
      keys: [`unit:${unit}`],
    }),
  ],
  [
    15,
    ({ incident, random, count }) => ({
      path: "incidents/timestamp",
      // Far in the past, so that a clock jump cannot put it in the future; each one different.
      body: {
        incident_id: incident,
        field: oneOf(FIELDS, random),
        timestamp: new Date(Date.now() - HOURS_AGO_MS + count).toISOString(),
      },
      keys: [`incident:${incident}`],
    }),
  ],
  [
    10,
    ({ incident, random }) => ({
      path: "incidents/status",
      body: { incident_id: incident, status: oneOf(INCIDENT_STATUSES, random), user_id: "chaos" },
      keys: [`incident:${incident}`],
    }),
  ],
  [
    10,
    ({ unit, incident }) => ({
      path: "assignments/send",
      body: { unit_id: unit, incident_id: incident, incident_type: "Fall", address: "1 Main St", priority: 2 },
      keys: [`unit:${unit}`, `incident:${incident}`],
    }),
  ],
  [
    5,
    ({ incident, count }) => ({
      path: "transport/completed",
      body: { incident_id: incident, epcr_id: `E${count}`, transport_type: "ALS" },
      keys: [`incident:${incident}`],
    }),
  ],
];

/** The squared share makes some units and incidents much busier than others, so that their queues grow. */
export function makePost(random: Random, count: number): Post {
  const unit = `U${Math.floor(random() ** 2 * UNITS)}`;
  const incident = `I${Math.floor(random() ** 2 * INCIDENTS)}`;
  let left = random() * KINDS.reduce((sum, [share]) => sum + share, 0);
  const [, make] = KINDS.find(([share]) => (left -= share) < 0) ?? KINDS[0] ?? fail();
  return make({ unit, incident, random, count });
}

function fail(): never {
  throw new Error("there are no commands to post");
}
