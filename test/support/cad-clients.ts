import { io, type Socket } from "socket.io-client";
import { onTestFinished } from "vitest";

/** The clients around the CAD beside the bridge, as plain as they are: without a token they may do everything. */
const DASHBOARD_EVENTS = [
  "unit:location:updated",
  "unit:status:updated",
  "incident:status:updated",
  "incident:timestamp:updated",
  "incident:new",
] as const;

async function connect(url: string): Promise<Socket> {
  const socket = io(url, { transports: ["websocket"], reconnection: false });
  onTestFinished(() => void socket.disconnect());
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", reject);
  });
  return socket;
}

export interface Seen {
  event: string;
  payload: Record<string, unknown>;
}

/** The dispatchers' dashboard: emits nothing, and keeps what it sees in the order in which it came. */
export async function connectDashboard(url: string): Promise<{ seen: Seen[]; events: ReadonlySet<string> }> {
  const socket = await connect(url);
  const seen: Seen[] = [];
  for (const event of DASHBOARD_EVENTS)
    socket.on(event, (payload: Record<string, unknown>) => seen.push({ event, payload }));
  return { seen, events: new Set(DASHBOARD_EVENTS) };
}

/** An MDT's own position, and its time for an incident. */
export interface MdtSent {
  locations: Record<string, unknown>[];
  timestamps: Record<string, unknown>[];
}

/**
 * The terminal in a vehicle: joins its unit's room, and at every assignment reports where the unit is, and one of the incident's
 * times, as it does by itself.
 * @param field a time that nobody else reports
 */
export async function connectMdt(url: string, unitId: string, field: string): Promise<MdtSent> {
  const socket = await connect(url);
  const sent: MdtSent = { locations: [], timestamps: [] };
  socket.on("assignment:received", (payload: { incidentId?: string; incident?: { incidentId: string } }) => {
    const n = sent.locations.length;
    const location = { type: "Point", coordinates: [-122.4 - n / 1000, 37.7 + n / 1000] };
    const position = { unitId, location, heading: n % 360, speed: 12.5 };
    const incidentId = payload.incidentId ?? payload.incident?.incidentId;
    const time = { incidentId, field, timestamp: new Date(1_483_257_600_000 + n).toISOString(), source: "auto" };
    sent.locations.push(position);
    sent.timestamps.push(time);
    socket.emit("unit:location", position);
    socket.emit("incident:timestamp", time);
  });
  socket.emit("join:unit", unitId);
  return sent;
}
