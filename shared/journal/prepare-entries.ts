import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { createRedisClock } from "../redis/clock.ts";
import type { ArgumentsOf } from "../redis/script.ts";
import { openIfAuthentic } from "../sealing/clear.ts";
import type { Sealer } from "../sealing/seal.ts";
import type { Span, Tracer } from "../tracing/tracer.ts";
import type { Micros } from "../util/time.ts";
import type { JournalEntry, NewEntry } from "./entry.ts";
import type { JournalKeys } from "./keys.ts";
import { journalSealId, openEntry, parseRow } from "./read.ts";
import { beginEntry, storeTrace, tracesOfCommands } from "./traces.ts";
import type { ENTRY } from "./write-scripts.ts";

export interface PrepareOptions {
  redis: Redis;
  keys: JournalKeys;
  sealer: Sealer;
  /** The CAD's scheme and host. */
  cad: string;
  tracer: Tracer;
  /** Called for data in Redis that differs from what this bridge wrote. */
  onForged?(what: string): void;
}

/** Gives entries their stored form: time, number, seal and trace. */
export interface EntryPreparer {
  /** @param calledAt when the entries were handed over, performance.now(): their ages count from there. Rejects if Redis does not answer */
  prepare(entries: readonly NewEntry[], calledAt: number): Promise<Batch>;
  /** The newest entry, those prepared included. Rejects if it was never read and Redis does not answer. */
  newest(): Promise<Newest>;
  /** The last note: until when the journal is complete, and how many entries there had been in total. */
  openNote(stored: string): { heard: Micros; n: number } | undefined;
}

/** The newest entry's time of receipt and number, and whether it is the CAD's. */
export interface Newest {
  receivedAt: Micros;
  n: number;
  ofCad: boolean;
}
const NONE = { receivedAt: 0, n: 0, kind: "bridge" } as const;

/** The new entries among the given ones. */
export interface Batch {
  all: Prepared[];
  isNew: boolean[];
}

/** An entry in its stored form, with its context. */
export interface Prepared {
  stored: ArgumentsOf<typeof ENTRY>;
  ref: string;
  entry: Omit<JournalEntry, "id" | "cad" | "size" | "n"> & { n: number };
  size: number;
  span: Span | undefined;
}

export function createEntryPreparer(options: PrepareOptions): EntryPreparer {
  const { redis, keys, sealer, cad, tracer } = options;
  const clock = createRedisClock(redis);
  let newest: Newest | undefined;

  /** The next entry is later even if Redis's clock was set back, and follows the noted number even if the end was cut off. */
  async function readNewest(): Promise<Newest> {
    const [[row], note] = await Promise.all([
      redis.xrevrange(keys.journal, "+", "-", "COUNT", 1),
      redis.get(keys.heard),
    ]);
    const opened = row && (await openEntry(sealer, parseRow(row, keys.journal)).catch(() => undefined));
    const last = opened && !opened.forged ? opened : NONE;
    const noted = openNote(note ?? "")?.n ?? 0;
    const n = Math.max(last.n ?? 0, noted);
    if (last.n !== undefined && last.n > 0 && noted > last.n) options.onForged?.(`end of the journal`);
    return { receivedAt: last.receivedAt, n, ofCad: last.kind !== "bridge" };
  }

  /** The last note: until when the journal is complete, and how many entries there had been in total. */
  function openNote(stored: string): { heard: Micros; n: number } | undefined {
    const text = openIfAuthentic(sealer, "heard", keys.heard, stored, () => options.onForged?.("heard"));
    const [, heard, n] = /^(\d{1,16})(?: (\d{1,15}))?$/.exec(text ?? "") ?? [];
    return heard === undefined ? undefined : { heard: Number(heard), n: Number(n ?? 0) };
  }

  /** Which of them are new: duplicates get no number, so that the numbers have no gaps. */
  async function areNew(entries: readonly NewEntry[]): Promise<boolean[]> {
    const names = entries.map(({ eventId, fact }) =>
      [eventId, fact].filter((name) => name !== undefined && name !== ""),
    );
    const seen = new Set<string | undefined>();
    return Promise.all(
      names.map(async (its) => {
        const again = its.some((name) => seen.has(name));
        for (const name of its) seen.add(name);
        return (
          !again && (its.length === 0 || (await redis.exists(its.map((name) => `${keys.cad}:seen:${name}`))) === 0)
        );
      }),
    );
  }

  /** The supposed echoes whose command exists in this bridge, with their traces. */
  async function ownCommands(entries: readonly NewEntry[]): Promise<ReadonlyMap<string, string | undefined>> {
    const ids = [...new Set(entries.flatMap(({ own }) => own ?? []))];
    return ids.length === 0
      ? new Map()
      : tracesOfCommands(redis, keys, sealer, ids, (what) => options.onForged?.(what));
  }

  async function prepare(entries: readonly NewEntry[], calledAt: number): Promise<Batch> {
    const [now, own, isNew] = await Promise.all([clock(), ownCommands(entries), areNew(entries)]);
    let { receivedAt, n } = (newest ??= await readNewest());
    const waited = performance.now() - calledAt;
    const dated = entries
      .filter((_, i) => isNew[i])
      .map((entry) => {
        receivedAt = Math.max(receivedAt + 1, now - Math.round((entry.ageMs + waited) * 1000));
        n += 1;
        const { own: about, ageMs, ...rest } = entry;
        const ofCommand = about !== undefined && own.has(about) ? { traceparent: own.get(about) } : undefined;
        const span = beginEntry(tracer, entry, ofCommand, ageMs + waited);
        const { traceparent } = span ?? {};
        const stored = {
          ...rest,
          own: ofCommand && about,
          receivedAt,
          n,
          ...(traceparent !== undefined && { traceparent }),
        };
        return { entry: stored, span };
      });
    const all = await Promise.all(dated.map(toPrepared));
    newest = { receivedAt, n, ofCad: true };
    return { all, isNew };
  }

  async function toPrepared({ entry, span }: Pick<Prepared, "entry" | "span">): Promise<Prepared> {
    const ref = randomUUID();
    const keysText = JSON.stringify(entry.keys);
    const recovered = entry.recovered === undefined ? "" : entry.recovered ? "1" : "0";
    const [occurred, wrong] = [String(entry.occurredAt ?? ""), JSON.stringify(entry.wrong)];
    const at = String(entry.receivedAt);
    const sealId = journalSealId(keys.journal, {
      ...{ ref, kind: entry.kind, event: entry.event, keys: keysText, occurred, recovered, wrong },
      ...{ eventId: entry.eventId ?? "", cad, received: at, own: entry.own ?? "", n: String(entry.n) },
    });
    const payload = await sealer.seal("journal", sealId, JSON.stringify(entry.payload ?? null));
    const stored = {
      ...{ eventId: entry.eventId ?? "", kind: entry.kind, event: entry.event, ref, keys: keysText, payload, occurred },
      ...{ received: at, own: entry.own ?? "", recovered, wrong, fact: entry.fact ?? "", n: String(entry.n) },
      trace: storeTrace(sealer, keys.journal, ref, span),
    };
    return { stored, ref, entry, size: payload.length, span };
  }

  return { prepare, newest: async () => (newest ??= await readNewest()), openNote };
}
