import { commandNamed } from "../../../shared/commands/table.ts";
import { may, type Role } from "../../../shared/vocabulary/roles.ts";
import { mixed } from "../world/roll.ts";

/** A command that a client posts. */
export interface PlannedCommand {
  /** Its place in the order of posting, and its Idempotency-Key. */
  number: number;
  /** When it is posted at the earliest, ms. */
  at: number;
  kind: string;
  body: Record<string, unknown>;
  user: string;
  role: Role;
  ttlSeconds?: number;
}

const UNITS = ["M1", "M2", "M3"];
const INCIDENTS = ["INC-1", "INC-2"];
const STATUSES = ["available", "enroute", "onscene", "transport", "hospital", "dispatched", "assigned", "closed"];
const FIELDS = ["onscene_at", "transport_at", "available_at"];
/** Over how long they are posted, ms: mostly close together, and now and then long enough for another worker to take over meanwhile. */
const SPANS_MS = [1500, 3000, 3000, 7000];
const spanOf = (seed: number) => SPANS_MS[Math.floor(mixed(seed, "span", 0) * SPANS_MS.length)] ?? 3000;

type Pick = <T>(what: string, from: readonly T[]) => T;

/** What it says; each value differs from those around it, so that no echo fits two commands. */
function bodyOf(kind: string, n: number, pick: Pick): Record<string, unknown> {
  const unit = pick("unit", UNITS);
  const incident = pick("incident", INCIDENTS);
  switch (kind) {
    case "units/status":
      return {
        unit_id: unit,
        status: STATUSES[n % STATUSES.length],
        ...(pick("two keys", [true, false]) && { incident_id: incident }),
      };
    case "units/location":
      return { unit_id: unit, latitude: 37 + n / 1000, longitude: -122 };
    case "incidents/status":
      return {
        incident_id: incident,
        status: pick("status", ["pending", "enroute", "onscene", "transport"]),
        user_id: `user-${n}`,
      };
    case "incidents/timestamp":
      return {
        ...{ incident_id: incident, field: pick("field", FIELDS), source: "auto" },
        timestamp: `2026-01-30T12:${String(n % 60).padStart(2, "0")}:00Z`,
      };
    case "transport/completed":
      return { incident_id: incident, epcr_id: `EPCR-${n}` };
    case "assignments/send":
      return {
        ...{ unit_id: unit, incident_id: incident, incident_type: `Type ${n}`, address: "1 Main St", priority: 1 },
        location: { lat: 37, lng: -122 },
      };
    default:
      return { metrics: { n } };
  }
}

const KINDS = [
  ...["units/status", "units/status", "units/status", "units/location", "units/location", "units/location"],
  ...["incidents/status", "incidents/timestamp", "transport/completed", "assignments/send", "metrics/broadcast"],
];

const CALLERS = [
  { user: "crew-1", role: "crew" },
  { user: "crew-2", role: "crew" },
  { user: "dispatcher", role: "dispatcher" },
  { user: "admin", role: "admin" },
] as const satisfies { user: string; role: Role }[];

export function planCommands(seed: number): PlannedCommand[] {
  const count = 4 + Math.floor(mixed(seed, "commands", 0) * 11);
  const planned = Array.from({ length: count }, (_, i): PlannedCommand => {
    const roll = (what: string) => mixed(seed, `command ${what}`, i);
    const pick: Pick = (what, from) => from[Math.floor(roll(what) * from.length)] as (typeof from)[number];
    const kind = pick("kind", KINDS);
    const ttl = roll("ttl");
    return {
      number: 0,
      at: 300 + Math.round(roll("at") * spanOf(seed)),
      kind,
      body: bodyOf(kind, i, pick),
      ...pick(
        "caller",
        CALLERS.filter(({ role }) => may([role], commandNamed(kind)?.role ?? "admin")),
      ),
      ...(ttl < 0.1 && { ttlSeconds: 1 + Math.round(ttl * 100) }),
    };
  });
  return planned.toSorted((a, b) => a.at - b.at).map((command, number) => ({ ...command, number }));
}

/** Something that happens in the CAD without the bridge. */
export interface PlannedEvent {
  at: number;
  event: string;
  payload: Record<string, unknown>;
}

export function planEvents(seed: number): PlannedEvent[] {
  const count = Math.floor(mixed(seed, "events", 0) * 8);
  return Array.from({ length: count }, (_, i): PlannedEvent => {
    const unitId = UNITS[Math.floor(mixed(seed, "event unit", i) * UNITS.length)] ?? "M1";
    const status = STATUSES[i % STATUSES.length] ?? "closed";
    const at = 300 + Math.round(mixed(seed, "event at", i) * spanOf(seed));
    return { at, event: "unit:status:updated", payload: { unitId, status, by: `terminal ${i}` } };
  }).toSorted((a, b) => a.at - b.at);
}

/** The units and incidents that it is about. */
export function keysOf({ kind, body }: PlannedCommand): readonly string[] {
  const command = commandNamed(kind);
  if (!command) throw new Error(`there is no command ${kind}`);
  return command.keys(command.body.parse(body));
}
