import { commands } from "../shared/commands/table.ts";
import { type CadEvent, marksOf } from "../shared/events/event.ts";
import type { WorkerHealth } from "../shared/health.ts";
import type { JournalEntry, NewEntry } from "../shared/journal/entry.ts";
import type { JournalWriter } from "../shared/journal/write.ts";
import type { Log } from "../shared/log.ts";
import type { OrderingKey } from "../shared/ordering-key.ts";
import type { Micros } from "../shared/time.ts";
import { valueAt } from "./cad/echo.ts";

/** How many events wait for the journal at most: some seconds of a burst, while Redis does not answer. */
const MAX_PENDING = 20_000;
/** The same in characters of their payloads, about. */
const MAX_PENDING_SIZE = 64_000_000;
/** How many are written at once, and characters of their payloads: a batch must get through a thin line in time. */
const BATCH = 256;
const BATCH_SIZE = 1_000_000;
/** A payload that is larger is not kept, bytes of JSON: a CAD's own limit for what it takes. */
const MAX_PAYLOAD = 1_000_000;
/** An event may say that it happened so much later than it came in, us; clocks differ. Beyond, it is not believed. */
const AHEAD_US = 60_000_000;

/** Events that the bridge does not know are counted together: their names come from outside and have no bound. */
const UNKNOWN = "(unknown)";
const MAX_NAME = 100;
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

export interface Said {
  /** The command that it is about: the CAD has it, and tells nobody. */
  own?: string;
  /** false: something was missed, and could not be recovered. */
  recovered?: false;
  /** What was said under this id within a day is not written again. */
  once?: string;
}

/** Takes the CAD's events, and writes them into the journal in the order in which they came. */
export interface Inbound {
  /** Answers true once it is in the journal, false if it never will be. Whatever the CAD sent, it never throws. */
  take(event: Taken): Promise<boolean>;
  /** Something that the bridge itself has to say; false if there is no room for it now. */
  say(event: string, keys: readonly OrderingKey[], payload: unknown, more?: Said): Promise<boolean>;
  /** What comes from now on waits, so that what was missed before can be written first; `say` and recovered events do not. */
  hold(): void;
  release(): void;
  /** Answers true once everything that was taken before, and is not held, is in the journal; false if it never will be. */
  flushed(): Promise<boolean>;
  /** How many events could not be kept since the last `found`: they are to be recovered, or told of as a gap. */
  lost(): number;
  found(): void;
  /** How many that had been missed at first were written so far. */
  recovered(): number;
  counts(): WorkerHealth["events"];
  /** Writes until the signal aborts and nothing is left, or the CAD is not ours any more. */
  run(): Promise<void>;
}

export interface InboundOptions {
  events: readonly CadEvent[];
  journal: Pick<JournalWriter, "append">;
  /** Nothing is written before. */
  ready: Promise<unknown>;
  /** What was written, in its order. */
  onWritten(entries: readonly JournalEntry[]): void;
  /** More came than can be kept: the CAD is to be asked again for what is lost now. */
  onOverflow(): void;
  now: () => Micros;
  signal: AbortSignal;
  log: Log;
}

interface Pending {
  entry: Omit<NewEntry, "ageMs">;
  size: number;
  takenAt: number;
  written(inJournal: boolean): void;
}

export function createInbound(options: InboundOptions): Inbound {
  const { journal, signal, log } = options;
  const reader = createReader(options.events, options.now, log);
  let queue: Pending[] = [];
  let queued = 0;
  let held: Pending[] | undefined;
  let heldSize = 0;
  let flushing: { upTo: number; done(inJournal: boolean): void }[] = [];
  let entered = 0;
  let written = 0;
  let lost = 0;
  let recovered = 0;
  let over = false;
  let wake = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => wake.resolve(), { once: true });

  function enter(...pending: Pending[]): void {
    for (const p of pending) {
      queue.push(p);
      queued += p.size;
    }
    entered += pending.length;
    wake.resolve();
  }

  function lose(): void {
    lost += 1;
    if (lost > 1) return;
    log.error({ pending: queue.length }, "more events wait for the journal than may wait: they are to be recovered");
    options.onOverflow();
  }

  /** What is held leaves room for what is to be written before it, but not the other way round: it comes into the same queue. */
  function hasRoom(mayWait: boolean): boolean {
    const [count, sum] = mayWait ? [held?.length ?? 0, heldSize] : [0, 0];
    return queue.length + count < MAX_PENDING && queued + sum < MAX_PENDING_SIZE;
  }

  function add(entry: Pending["entry"], size: number, mayWait: boolean): Promise<boolean> {
    return new Promise((resolve) => {
      const pending = { entry, size, takenAt: performance.now(), written: resolve };
      if (!mayWait || !held) return enter(pending);
      held.push(pending);
      heldSize += size;
    });
  }

  /** The next few, of which the first goes in any case. */
  function nextBatch(): Pending[] {
    let size = 0;
    const end = queue.findIndex((p, i) => i >= BATCH || (size += p.size) > BATCH_SIZE);
    const batch = queue.slice(0, end < 0 ? queue.length : Math.max(1, end));
    queue = queue.slice(batch.length);
    queued -= batch.reduce((sum, p) => sum + p.size, 0);
    return batch;
  }

  async function writeAll(): Promise<void> {
    while (queue.length > 0) {
      const batch = nextBatch();
      try {
        const now = performance.now();
        const entries = await journal.append(batch.map((p) => ({ ...p.entry, ageMs: now - p.takenAt })));
        written += batch.length;
        recovered += entries.filter((e) => e?.kind !== "bridge" && e?.recovered).length;
        for (const p of batch) p.written(true);
        options.onWritten(entries.filter((e) => e !== undefined));
      } catch (error) {
        for (const p of batch) p.written(false);
        throw error;
      }
      for (const f of flushing) if (f.upTo <= written) f.done(true);
      flushing = flushing.filter((f) => f.upTo > written);
    }
  }

  return {
    async take(taken) {
      const { entry, size } = reader.read(taken);
      const mayWait = taken.recovered === undefined;
      if (!over && hasRoom(mayWait)) return await add(entry, size, mayWait);
      if (!over) lose();
      return false;
    },
    async say(event, keys, payload, { recovered: isRecovered, once: eventId, own } = {}) {
      if (over || !hasRoom(false)) return false;
      const about = { event, keys, payload, own, fact: factOf(event, own) };
      const said = { ...NOTHING, ...about, kind: "bridge" as const, recovered: isRecovered, eventId };
      return await add(said, toJson(payload)?.length ?? 0, false);
    },
    hold: () => void (held ??= []),
    release() {
      enter(...(held ?? []));
      held = undefined;
      heldSize = 0;
    },
    async flushed() {
      if (over || entered === written) return !over;
      return await new Promise((done) => flushing.push({ upTo: entered, done }));
    },
    lost: () => lost,
    found: () => void (lost = 0),
    recovered: () => recovered,
    counts: reader.counts,
    async run() {
      try {
        await options.ready;
        for (;;) {
          await writeAll();
          if (signal.aborted) return;
          wake = Promise.withResolvers();
          if (queue.length === 0) await wake.promise;
        }
      } finally {
        over = true;
        for (const p of [...queue, ...(held ?? [])]) p.written(false);
        for (const f of flushing) f.done(false);
      }
    },
  };
}

const NOTHING = { occurredAt: undefined, eventId: undefined, own: undefined, recovered: undefined, wrong: [] };

/** See worker/untold.ts: a CAD that is slow may tell of a command after all that it seemed to tell nobody of. */
const factOf = (event: string, own: string | undefined): string | undefined =>
  own !== undefined && MAY_BE_UNTOLD.has(event) ? `own:${own}` : undefined;
const MAY_BE_UNTOLD: ReadonlySet<string> = new Set(commands.flatMap(({ echo, emits }) => (echo ? [] : [...emits])));

/** Makes an entry of whatever the CAD sent, and counts it. */
function createReader(events: readonly CadEvent[], now: () => Micros, log: Log) {
  const known = new Map(events.map((event) => [event.name, event]));
  const counts = new Map([...known.keys(), UNKNOWN].map((name) => [name, { received: 0, malformed: 0 }]));

  function count(name: string, malformed: boolean): void {
    const counted = counts.get(known.has(name) ? name : UNKNOWN);
    if (counted) counted.received += 1;
    if (counted && malformed) counted.malformed += 1;
  }

  function read(taken: Taken): Pick<Pending, "entry" | "size"> {
    const text = toJson(taken.payload);
    const size = text?.length;
    // As it will be read from the journal: a handler is to see no difference.
    const kept = text === undefined || text.length > MAX_PAYLOAD ? null : (JSON.parse(text) as unknown);
    const entry = describe({ ...taken, payload: kept }, size);
    return { entry, size: kept === null ? 0 : (size ?? 0) };
  }

  function describe({ event: name, payload, own, recovered }: Taken, size: number | undefined): Pending["entry"] {
    const sentBy = own ?? commandOf(payload);
    const shown = name.slice(0, MAX_NAME).toWellFormed() || NAMELESS;
    const entry = { ...NOTHING, event: shown, payload, own: sentBy, recovered, keys: OTHER };
    const event = known.get(name);
    if (size === undefined || size > MAX_PAYLOAD) {
      count(name, true);
      const wrong = [size === undefined ? "it cannot be written as JSON" : `it is ${size} bytes of JSON: not kept`];
      log.warn({ event: entry.event, wrong }, "an event whose payload cannot be kept");
      return { ...entry, kind: "malformed", wrong };
    }
    const { eventId, occurredAt } = marksOf(payload);
    if (!event) {
      count(name, false);
      log.info({ event: entry.event }, "an event that the bridge does not know");
      return { ...entry, kind: "unknown", eventId, occurredAt: believed(occurredAt, now()) };
    }
    const parsed = event.payload.safeParse(payload);
    count(name, !parsed.success);
    if (!parsed.success) {
      const wrong = parsed.error.issues.map((issue) => issue.path.join(".") || "(the payload)");
      log.warn({ event: name, wrong }, "an event whose payload does not parse");
      return { ...entry, kind: "malformed", eventId, wrong };
    }
    const keys = event.keys(parsed.data);
    const at = believed(occurredAt ?? event.occurred?.(parsed.data), now());
    // The echo of an own command says what the line of its outcome says as well.
    (own === undefined ? log.info.bind(log) : log.debug.bind(log))(
      { event: name, about: keys, own_command: own },
      "event",
    );
    return { ...entry, kind: "event", keys, eventId, occurredAt: at, fact: factOf(name, sentBy) };
  }

  return { read, counts: () => Object.fromEntries(counts) };
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
