import { handlerOf } from "../../../shared/destinations/outcome-reader.ts";
import { BRIDGE_EVENTS, type JournalEntry } from "../../../shared/journal/entry.ts";
import { journalKeys } from "../../../shared/journal/keys.ts";
import { destinationKeys } from "../../../shared/redis/keys.ts";
import { compareIds } from "../../../shared/redis/stream-id.ts";
import { checkEvents } from "../../chaos/check/event-checker.ts";
import { wantedBy } from "../../chaos/rig/routes.ts";
import type { CadHost } from "../hosts/cad-host.ts";
import type { Probe } from "../world/probe.ts";
import type { RedisServer, Reply } from "../world/redis-server.ts";
import type { ServiceHost } from "../hosts/service-host.ts";
import { PREFIX } from "../hosts/settings.ts";

interface Entry {
  id: string;
  kind: JournalEntry["kind"];
  event: string;
  ref: string;
  eventId: string;
  keys: readonly string[];
}

interface Events {
  server: RedisServer;
  cad: CadHost;
  probe: Probe;
  services: ServiceHost;
  /** The ids of the services that get the events. */
  destinations: readonly string[];
}

/** Whatever the CAD sent is in the journal or recorded as a gap, the handler has done it all, and nothing waits for a service. */
export async function eventsAreThrough({ server, cad, probe, destinations }: Events): Promise<boolean> {
  const entries = await readJournal(server);
  const kept = new Set(entries.map(({ eventId }) => eventId));
  const start = entries.findIndex(({ id }) => id === probe.began);
  const done = new Set(probe.done.map(({ id }) => id));
  return (
    (cad.broadcasts.every((id) => kept.has(id)) || entries.some(({ event }) => event === BRIDGE_EVENTS.gap)) &&
    entries.slice(start + 1).every(({ id }) => done.has(id)) &&
    (await leftFor(server, destinations, entries.at(-1)?.id)).length === 0
  );
}

/** What has not come to a service yet: behind in the journal, or waiting in an outbox. */
async function leftFor(
  server: RedisServer,
  destinations: readonly string[],
  newest: string | undefined,
): Promise<string[]> {
  const left: string[] = [];
  for (const id of destinations) {
    const [cursor, open] = await Promise.all([
      server.command("HGET", journalKeys(PREFIX).cursors, handlerOf(id)),
      server.command("ZCARD", destinationKeys(PREFIX, id).open),
    ]);
    if (newest !== undefined && (typeof cursor !== "string" || compareIds(cursor, newest) < 0))
      left.push(`${handlerOf(id)} is at ${String(cursor)}, the journal at ${newest}`);
    if (open !== 0) left.push(`${String(open)} messages for ${id}`);
  }
  return left;
}

/** What is wrong with the way of the CAD's events into the journal, and from there to a handler and the services. */
export async function checkEventDirection(events: Events & { atRest: boolean }): Promise<string[]> {
  const { server, cad, probe, services, destinations } = events;
  const entries = await readJournal(server);
  const dead = await Promise.all(
    destinations.map(async (id) =>
      list(await server.command("ZRANGE", destinationKeys(PREFIX, id).dead, 0, -1)).map((letter) => `${id} ${letter}`),
    ),
  );
  const verdict = checkEvents({
    journal: entries.map((entry) => ({
      ...{ id: entry.id, keys: entry.keys },
      wanted: wantedBy(entry).filter((id) => destinations.includes(id)),
    })),
    received: services.delivered,
    dead: new Set(dead.flat()),
    left: await leftFor(server, destinations, entries.at(-1)?.id),
    sent: cad.broadcasts,
    kept: entries.map(({ eventId }) => eventId),
    gaps: entries.filter(({ event }) => event === BRIDGE_EVENTS.gap).length,
    stalls: [],
  });
  const refs = entries.map(({ ref }) => ref);
  const twice = entries.filter(({ ref }, i) => refs.indexOf(ref) !== i);
  return [
    // What is on its way still is neither lost nor left: then only its order can be checked.
    ...verdict.violations
      .filter(({ kind }) => events.atRest || ORDER.has(kind))
      .map(({ kind, what }) => `${kind}: ${what}`),
    ...twice.map(({ id, event }) => `journal: what was written once stands there twice: ${event} at ${id}`),
    ...(events.atRest ? judgeHandler(entries, probe) : []),
  ];
}

const ORDER: ReadonlySet<string> = new Set([
  "event out of order at a destination",
  "event that comes again after a newer one",
]);

/** A handler gets every entry from its place on at least once; those that share a key first one after the other. */
function judgeHandler(entries: readonly Entry[], { done, began }: Probe): string[] {
  if (began === undefined) return entries.length > 0 ? ["handler: there are entries, and it has no place"] : [];
  const firsts = new Map<string, number>();
  for (const [i, { id }] of done.entries()) if (!firsts.has(id)) firsts.set(id, i);
  const start = entries.findIndex(({ id }) => id === began);
  const wanted = entries.slice(start + 1);
  const latest = new Map<string, { id: string; at: number }>();
  return wanted.flatMap(({ id, event, keys }) => {
    const at = firsts.get(id);
    if (at === undefined) return [`handler: ${event} at ${id} was never given to a handler`];
    return keys.flatMap((key) => {
      const before = latest.get(key);
      latest.set(key, { id, at });
      return before !== undefined && before.at > at
        ? [`handler: ${id} was given to a handler before ${before.id}, which is older (${key})`]
        : [];
    });
  });
}

const list = (reply: Reply): string[] => (Array.isArray(reply) ? reply.map(String) : []);

async function readJournal(server: RedisServer): Promise<Entry[]> {
  const rows = await server.command("XRANGE", journalKeys(PREFIX).journal, "-", "+");
  return (Array.isArray(rows) ? rows : []).map((row) => {
    const [id, values] = Array.isArray(row) ? row : [];
    const fields = (Array.isArray(values) ? values : []).map(String);
    const text = (name: string) => fields[fields.indexOf(name) + 1] ?? "";
    return {
      ...{ id: String(id), kind: text("kind") as JournalEntry["kind"], event: text("event") },
      ...{ ref: text("ref"), eventId: text("event_id"), keys: JSON.parse(text("keys")) as string[] },
    };
  });
}
