import { BRIDGE_EVENTS } from "../../shared/journal/entry.ts";
import { journalKeys } from "../../shared/journal/keys.ts";
import { checkEvents } from "../chaos/event-checker.ts";
import type { CadHost } from "./cad-host.ts";
import type { Probe } from "./probe.ts";
import type { RedisServer } from "./redis-server.ts";
import { PREFIX } from "./settings.ts";

interface Entry {
  id: string;
  event: string;
  ref: string;
  eventId: string;
  keys: readonly string[];
}

interface Events {
  server: RedisServer;
  cad: CadHost;
  probe: Probe;
}

/** Whatever the CAD sent is in the journal or told of as a gap, and the handler has done it all. */
export async function eventsAreThrough({ server, cad, probe }: Events): Promise<boolean> {
  const entries = await readJournal(server);
  const kept = new Set(entries.map(({ eventId }) => eventId));
  const start = entries.findIndex(({ id }) => id === probe.began);
  const done = new Set(probe.done.map(({ id }) => id));
  return (
    (cad.broadcasts.every((id) => kept.has(id)) || entries.some(({ event }) => event === BRIDGE_EVENTS.gap)) &&
    entries.slice(start + 1).every(({ id }) => done.has(id))
  );
}

/** What is wrong with the way of the CAD's events into the journal, and from there to a handler. */
export async function judgeEvents({ server, cad, probe, atRest }: Events & { atRest: boolean }): Promise<string[]> {
  if (!atRest) return [];
  const entries = await readJournal(server);
  const gaps = entries.filter(({ event }) => event === BRIDGE_EVENTS.gap).length;
  const verdict = checkEvents({
    journal: entries.map(({ id, keys }) => ({ id, keys, wanted: [] })),
    received: [],
    dead: new Set(),
    left: [],
    sent: cad.broadcasts,
    kept: entries.map(({ eventId }) => eventId),
    gaps,
    stalls: [],
  });
  const refs = entries.map(({ ref }) => ref);
  const twice = entries.filter(({ ref }, i) => refs.indexOf(ref) !== i);
  return [
    ...verdict.violations.map(({ kind, what }) => `${kind}: ${what}`),
    ...twice.map(({ id, event }) => `journal: what was written once stands there twice: ${event} at ${id}`),
    ...judgeHandler(entries, probe),
  ];
}

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

async function readJournal(server: RedisServer): Promise<Entry[]> {
  const rows = await server.command("XRANGE", journalKeys(PREFIX).journal, "-", "+");
  return (Array.isArray(rows) ? rows : []).map((row) => {
    const [id, values] = Array.isArray(row) ? row : [];
    const fields = (Array.isArray(values) ? values : []).map(String);
    const text = (name: string) => fields[fields.indexOf(name) + 1] ?? "";
    return {
      ...{ id: String(id), event: text("event"), ref: text("ref"), eventId: text("event_id") },
      keys: JSON.parse(text("keys")) as string[],
    };
  });
}
