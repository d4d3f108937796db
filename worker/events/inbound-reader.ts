import { commands } from "../../shared/commands/table.ts";
import { type CadEvent, marksOf } from "../../shared/events/event.ts";
import type { NewEntry } from "../../shared/journal/entry.ts";
import type { Log } from "../../shared/util/log.ts";
import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import type { Micros } from "../../shared/util/time.ts";
import { valueAt } from "../cad/echo.ts";

/** A payload that is larger is not kept, bytes of JSON: a CAD's own limit for what it takes. */
const MAX_PAYLOAD = 1_000_000;
/** An event may say that it happened so much later than it came in, us; clocks differ. Beyond, it is not believed. */
const AHEAD_US = 60_000_000;

/** Events that the bridge does not know are counted together: their names come from outside and have no bound. */
const UNKNOWN = "(unknown)";
const MAX_NAME = 100;
/** The prefix of names of the bridge's own entries, and the prefix for events of the CAD that have such a name. */
const OWN_NAMES = "bridge:";
const FOREIGN = "cad:";
/** What an event is called that comes without a name. */
const NAMELESS = "(none)";

/** An event as it came from the CAD. */
export interface Taken {
  event: string;
  payload: unknown;
  /** The command that it is the echo of. */
  own?: string | undefined;
  /** true: it was missed at first, and came by recovery. */
  recovered?: true | undefined;
}

/** Further properties of an entry of the bridge itself. */
export interface EntryOptions {
  /** The command that it is about: the CAD received it, and broadcasts nothing. */
  own?: string;
  /** false: something was missed, and could not be recovered. */
  recovered?: false;
  /** What was said under this id within a day is not written again. */
  once?: string;
}

/** What is to be written; `size`: characters of its payload as JSON. */
export interface Read {
  entry: Omit<NewEntry, "ageMs">;
  size: number;
}

const NOTHING = { occurredAt: undefined, eventId: undefined, own: undefined, recovered: undefined, wrong: [] };

/** See worker/commands/unannounced.ts: a slow CAD may broadcast after all what it seemed not to broadcast. */
const factOf = (event: string, own: string | undefined): string | undefined =>
  own !== undefined && MAY_BE_UNTOLD.has(event) ? `own:${own}` : undefined;
const MAY_BE_UNTOLD: ReadonlySet<string> = new Set(commands.flatMap(({ echo, emits }) => (echo ? [] : [...emits])));

/** Makes an entry of the journal of whatever the CAD sent, and counts it. */
export function createReader(events: readonly CadEvent[], now: () => Micros, log: Log) {
  const known = new Map(events.map((event) => [event.name, event]));
  const counts = new Map([...known.keys(), UNKNOWN].map((name) => [name, { received: 0, malformed: 0 }]));

  function count(name: string, malformed: boolean): void {
    const counted = counts.get(known.has(name) ? name : UNKNOWN);
    if (counted) counted.received += 1;
    if (counted && malformed) counted.malformed += 1;
  }

  function read(taken: Taken): Read {
    const text = toJson(taken.payload);
    const size = text?.length;
    // As it will be read from the journal: a handler is to see no difference.
    const kept = text === undefined || text.length > MAX_PAYLOAD ? null : (JSON.parse(text) as unknown);
    const entry = describe({ ...taken, payload: kept }, size);
    return { entry, size: kept === null ? 0 : (size ?? 0) };
  }

  function describe({ event: name, payload, own, recovered }: Taken, size: number | undefined): Read["entry"] {
    const sentBy = own ?? commandOf(payload);
    // The prefix is reserved: an event of the CAD never passes for an entry of the bridge.
    const theirs = name.startsWith(OWN_NAMES) ? `${FOREIGN}${name}` : name;
    const shown = theirs.slice(0, MAX_NAME).toWellFormed() || NAMELESS;
    const entry = { ...NOTHING, event: shown, payload, own: sentBy, recovered, keys: OTHER };
    const event = known.get(name);
    if (size === undefined || size > MAX_PAYLOAD) {
      count(name, true);
      const wrong = [size === undefined ? "it cannot be written as JSON" : `it is ${size} bytes of JSON: not kept`];
      log.warn({ event: entry.event, wrong }, "the payload of an event cannot be stored");
      return { ...entry, kind: "malformed", wrong };
    }
    const { eventId, occurredAt } = marksOf(payload);
    if (!event) {
      count(name, false);
      log.info({ event: entry.event }, "unknown event");
      return { ...entry, kind: "unknown", eventId, occurredAt: believed(occurredAt, now()) };
    }
    const parsed = event.payload.safeParse(payload);
    count(name, !parsed.success);
    if (!parsed.success) {
      const wrong = parsed.error.issues.map((issue) => issue.path.join(".") || "(the payload)");
      log.warn({ event: name, wrong }, "malformed event payload");
      return { ...entry, kind: "malformed", eventId, wrong };
    }
    const keys = event.keys(parsed.data);
    const at = believed(occurredAt ?? event.occurred?.(parsed.data), now());
    // The echo of an own command repeats what the log line of its outcome says.
    (own === undefined ? log.info.bind(log) : log.debug.bind(log))(
      { event: name, about: keys, own_command: own },
      "event",
    );
    return { ...entry, kind: "event", keys, eventId, occurredAt: at, fact: factOf(name, sentBy) };
  }

  return { read, counts: () => Object.fromEntries(counts) };
}

/** The entry of a report of the bridge itself. */
export function sayEntry(
  event: string,
  keys: readonly OrderingKey[],
  payload: unknown,
  { recovered, once, own }: EntryOptions = {},
): Read {
  const about = { event, keys, payload, own, fact: factOf(event, own) };
  const entry = { ...NOTHING, ...about, kind: "bridge" as const, recovered, eventId: once };
  return { entry, size: toJson(payload)?.length ?? 0 };
}

/** The command that an echo says it is of, on a CAD that keeps what it was sent. The journal sees whether there is such a command. */
const commandOf = (payload: unknown): string | undefined => {
  const id = valueAt(payload, "context.commandId");
  return typeof id === "string" && id.length <= MAX_NAME ? id : undefined;
};

const OTHER: readonly OrderingKey[] = ["other"];

/** When it happened; undefined if that is no time, or one that has not come yet, or is from before 1970. */
function believed(text: string | null | undefined, now: Micros): Micros | undefined {
  const at = Date.parse(text ?? "") * 1000;
  return Number.isNaN(at) || at < 0 || at > now + AHEAD_US ? undefined : at;
}

/** Undefined for what JSON cannot hold. */
function toJson(payload: unknown): string | undefined {
  try {
    return JSON.stringify(payload ?? null);
  } catch {
    return undefined;
  }
}
