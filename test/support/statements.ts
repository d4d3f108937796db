import { until } from "../../tools/support/until.ts";
import type { Bridge } from "./bridge.ts";
import type { StoredField } from "./stored-fields.ts";

export const isDead = (state: string | undefined) => ["rejected", "failed", "unconfirmed"].includes(state ?? "");

/** Leaves of an answer, each with what it is about; not what is shown as changed, unreadable or forged, nor ages. */
export function statementsIn(value: unknown, about: string): string[] {
  if (value === null || value === "" || value === undefined || value === 0) return [];
  if (Array.isArray(value)) return value.flatMap((one) => statementsIn(one, `${about}[]`));
  if (typeof value !== "object") return [`${about} = ${JSON.stringify(value)}`];
  const one = value as Record<string, unknown>;
  const doubted =
    /changed in Redis|does not know/.test(String(one["reason"])) ||
    one["authentic"] === false ||
    (one["kind"] === "malformed" && one["payload"] === null) ||
    one["unreadable"];
  // "waiting" and "unknown" say that nothing is known.
  if (doubted || ["waiting", "unknown", "not_wanted"].includes(String(one["outcome"]))) return [];
  const changed = one["command"] === "(changed in Redis)";
  const names = [one["id"], one["command_id"], one["handler"], one["at"]];
  const id = names.find((name) => typeof name === "string") ?? "";
  return Object.entries(one).flatMap(([name, part]) => {
    const silent = /age|seconds|_s$|^now$|^checked|percent|latency|uptime|since|message|sends|expires/.test(name);
    return silent || (changed && /command|ordering_keys|proof/.test(name))
      ? []
      : statementsIn(part, `${about}${id}.${name}`);
  });
}

/** What the API says of stored records. */
export interface Views {
  /** Where one looks for what a record says; nothing for what the worker alone reads. */
  of(place: Pick<StoredField, "key" | "at" | "field">): string[];
  look(path: string): Promise<Set<string>>;
  /** What it said when it was first looked at. */
  lookOnce(path: string): Promise<Set<string>>;
}

export function createViews(bridge: Bridge, fields: readonly StoredField[]): Views {
  const asked = new Map<string, Promise<Set<string>>>();
  const deadIn = (list: string) => new Set(fields.flatMap(({ key, value }) => (key === list ? [value] : [])));
  const dead = deadIn("cad:dead");

  async function look(path: string): Promise<Set<string>> {
    const { status, body } = await until(`${path} is answered`, async () => {
      const answer = await bridge.get(path);
      // Too many reads at once, or Redis is busy: that says nothing of the record.
      return answer.status === 429 || (answer.status === 503 && path !== "/health") ? undefined : answer;
    });
    const { timestamp: _now, ...said } = body;
    // Of the health, what the worker says: that something is wrong is what is to be seen.
    const { status: _status, problems: _problems, ...health } = said;
    if (path === "/health") return new Set(statementsIn(health, path));
    return new Set(status === 200 ? statementsIn(said, path.replace(/\?.*/, "")) : []);
  }

  return {
    look,
    lookOnce(path) {
      const known = asked.get(path) ?? look(path);
      asked.set(path, known);
      return known;
    },
    of({ key, at, field }) {
      const [, id = ""] = /^cad:(?:record|handled|state:unit|state:incident):(.*)$/s.exec(key) ?? [];
      if (key.startsWith("cad:record:"))
        return [`/commands/${id}`, ...(dead.has(id) ? ["/dead-letters?limit=100"] : [])];
      if (key.startsWith("cad:handled:")) return [`/events/${id}`];
      if (key.startsWith("cad:state:unit:")) return [`/units/${encodeURIComponent(id)}`];
      if (key.startsWith("cad:state:incident:")) return [`/incidents/${encodeURIComponent(id)}`];
      const [, to = "", entry] = /^to:([a-z]+):record:(\d+-\d+)$/.exec(key) ?? [];
      if (entry !== undefined) {
        const list = deadIn(`to:${to}:dead`).has(entry) ? [`/dead-letters?limit=100&destination=${to}`] : [];
        return [`/events/${entry}`, ...list];
      }
      if (key === "cad:journal") return [`/events/${at}`, ...(field === "event" ? ["/events/history?limit=500"] : [])];
      if (key === "cad:cursors") return [`/events/${fields.find((one) => one.key === "cad:journal")?.at}`];
      if (key === "cad:audit") return ["/audit?limit=500"];
      if (key === "cad:health") return ["/health"];
      if (key === "cad:history" || key === "cad:uptime") return ["/history"];
      const [, destination] = /^to:([a-z]+):state$/.exec(key) ?? [];
      if (destination !== undefined) return ["/destinations", `/destinations/${destination}`];
      return [];
    },
  };
}
