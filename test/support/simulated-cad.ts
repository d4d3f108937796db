import { onTestFinished } from "vitest";
import { type Cad, type CadOptions, startCad } from "../../tools/simulator/cad.ts";
import { openProbe, type Probe, type ProbeOptions } from "../../tools/simulator/probe.ts";
import { until } from "../../tools/support/until.ts";

export const TOKEN = "a-token-for-tests";
export const UNIT = "0b5c1f0e-6a3c-4d7e-9a51-2f1c0d9e8b7a";
export const INCIDENT = "7d9a2c44-1b0f-4e6d-8c3a-5e4f3d2c1b0a";
export const AT_ONCE = { min: 0, max: 0 };

export async function start(options: Partial<CadOptions> = {}): Promise<Cad> {
  const cad = await startCad({ token: TOKEN, ...options });
  onTestFinished(() => cad.stop());
  return cad;
}

export function open(cad: Cad, options: ProbeOptions = { token: TOKEN }): Probe {
  const probe = openProbe(cad.url, options);
  onTestFinished(() => probe.close());
  return probe;
}

export async function connect(cad: Cad, options?: ProbeOptions): Promise<Probe> {
  const probe = open(cad, options);
  await until("connected", () => probe.socket.connected);
  return probe;
}

/** The nth command: what the bridge adds to every object payload. */
export const context = (n: number, commandId = `command-${n}`) => ({
  commandId,
  userId: "dispatcher-7",
  role: "dispatcher",
  issuedAt: `2026-01-31T22:05:00.${String(n).padStart(6, "0")}Z`,
});
export const status = (n: number, more: object = {}) => ({
  unitId: "E39",
  status: `S${n}`,
  context: context(n),
  ...more,
});

export const heardStatuses = (probe: Probe) =>
  probe.heard("unit:status:updated").map((payload) => (payload as { status: string }).status);

/** With handlers that finish at once and in order, everything sent before is through once this echo is back. */
export async function settle(probe: Probe): Promise<void> {
  const marker = `marker-${Math.random()}`;
  probe.socket.emit("unit:status", { unitId: "marker", status: marker });
  await until("the marker's echo", () => heardStatuses(probe).includes(marker));
}
export const withoutMarkers = (probe: Probe) => heardStatuses(probe).filter((text) => !text.startsWith("marker-"));

export const assignment = {
  unitId: "E39",
  incident: { incidentId: INCIDENT, type: "Fall", address: "1 Main St", priority: 1, details: null, location: null },
  timestamp: "2026-01-31T22:05:00.000Z",
  extra: 1,
  context: context(1),
};
export const COMMANDS: { event: string; payload: object; echo: string; legacy: object | null }[] = [
  {
    event: "unit:location",
    payload: {
      unitId: "E39",
      location: { type: "Point", coordinates: [-122.4, 37.7] },
      heading: 9,
      speed: 5,
      extra: 1,
    },
    echo: "unit:location:updated",
    legacy: { unitId: "E39", location: { type: "Point", coordinates: [-122.4, 37.7] }, heading: 9, speed: 5 },
  },
  {
    event: "unit:status",
    payload: { unitId: "E39", status: "enroute", incidentId: INCIDENT, extra: 1, context: context(1) },
    echo: "unit:status:updated",
    legacy: { unitId: "E39", status: "enroute", incidentId: INCIDENT },
  },
  {
    event: "incident:status",
    payload: { incidentId: INCIDENT, status: "COMPLETED", userId: "dispatcher-7", context: context(1) },
    echo: "incident:status:updated",
    legacy: { incidentId: INCIDENT, status: "COMPLETED" },
  },
  {
    event: "incident:timestamp",
    payload: {
      incidentId: INCIDENT,
      field: "time_en_route",
      timestamp: "2026-01-31T22:05:00Z",
      location: null,
      source: "auto",
      context: context(1),
    },
    echo: "incident:timestamp:updated",
    legacy: { incidentId: INCIDENT, field: "time_en_route", timestamp: "2026-01-31T22:05:00Z", location: null },
  },
  {
    event: "incident:created",
    payload: { incidentId: INCIDENT, type: "Fall", extra: { deep: [1] }, context: context(1) },
    echo: "incident:new",
    legacy: { incidentId: INCIDENT, type: "Fall", extra: { deep: [1] }, context: context(1) },
  },
  { event: "assignment:sent", payload: assignment, echo: "assignment:received", legacy: assignment },
  {
    event: "transport:completed",
    payload: { incidentId: INCIDENT, epcrId: "EPCR-1", billingData: null, timestamp: "2026-01-31T22:05:00Z" },
    echo: "transport:completed",
    legacy: null,
  },
  {
    event: "metrics:updated",
    payload: { metrics: { available: 1 }, timestamp: "2026-01-31T22:05:00Z" },
    echo: "metrics:updated",
    legacy: null,
  },
];
