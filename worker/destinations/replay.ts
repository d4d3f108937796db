import { setImmediate as nextTurn } from "node:timers/promises";
import {
  beginReplay,
  entryOf,
  isOver,
  NOTHING_FOUND,
  replayedAs,
  type ReplayFound,
  type ReplayRequest,
  type ReplayStatus,
} from "../../shared/destinations/replay.ts";
import type { DestinationStore } from "../../shared/destinations/store.ts";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import { nameMatches } from "../../shared/journal/filter.ts";
import type { JournalReader } from "../../shared/journal/read.ts";
import type { OwnedOutbox } from "../../shared/outbox/owned.ts";
import { whyFailed } from "../../shared/redis/fault.ts";
import { compareIds, idBefore, idTime, isEntryId } from "../../shared/redis/stream-id.ts";
import { SealError } from "../../shared/sealing/seal.ts";
import type { Log } from "../../shared/util/log.ts";
import { sleep } from "../../shared/util/sleep.ts";
import type { Rewind } from "../events/handlers/handler.ts";
import { compileFilter, type Filter } from "./filter.ts";
import { nextReplay, type ReplayEvent } from "./replay-state.ts";

/** How often it is looked whether somebody asked, and how often progress is stored, ms. */
const LOOK_MS = 500;
const PAGE = 500;
/** How many replays before are looked at for messages that wait still, and how many messages one step ends. */
const MAX_BEFORE = 5;
const SUPERSEDED_AT_ONCE = 500;

export interface ReplayOptions {
  destination: string;
  store: Pick<DestinationStore, "replayAsked" | "dropReplayAsked" | "replay" | "saveReplay">;
  journal: Pick<JournalReader, "page" | "bounds" | "upTo">;
  outbox: Pick<OwnedOutbox, "supersede">;
  /** The ids of what waits in the outbox, the oldest first. */
  waiting(): Promise<string[]>;
  /** DESTINATION_BACKLOG: with what waits, a replay may not be more. */
  backlog: number;
  /** Whether a rule sends it. */
  wants(entry: JournalEntry): boolean;
  /** Those can be sent now. */
  onRunnable(ids: readonly string[]): void;
  /** What was followed before is asked for again. */
  onForged(): void;
  signal: AbortSignal;
  log: Log;
}

/** Sends events of a destination again: its handler goes back in the journal, and comes along it to where it was. */
export interface Replay {
  rewind: Rewind;
  /** The message that sends an entry again; null: the replay leaves it out. undefined: it is for the live flow. */
  messageFor(entry: JournalEntry): string | null | undefined;
  /** That entry is to be sent again; or is not, as it turned out. */
  planned(entry: string): void;
  declined(entry: string): void;
  noted(cursor: string): void;
  /** Up to where the live flow has come, of a handler that stands at `cursor`. */
  liveFrom(cursor: string): string;
  /** Answers requests until the signal aborts. Never rejects. */
  run(): Promise<void>;
}

type Refusal = NonNullable<ReplayStatus["refusal"]>;
const refused = (code: Refusal["code"], reason: string, oldest: string | null = null): ReplayEvent => ({
  type: "refused",
  refusal: { code, reason, oldest },
});

const nothing = (): false => false;

/** The first entry that may be meant. */
const startOf = ({ from }: ReplayRequest): string => (isEntryId(from) ? from : `${idTime(Date.parse(from) * 1000)}-0`);

/** Whether an entry is among what was asked for. A filter that cannot tell says no. */
function chooser({ events, filter: expression }: ReplayRequest): (entry: JournalEntry) => boolean {
  const compiled = expression === undefined ? undefined : compileFilter(expression);
  const filter: Filter = compiled && "filter" in compiled ? compiled.filter : () => expression === undefined;
  return (entry) => {
    if (events && !events.some((pattern) => nameMatches(entry.event, pattern))) return false;
    try {
      return filter(entry);
    } catch {
      return false;
    }
  };
}

/** A replay that was asked for so long ago is not begun: somebody has to ask again, ms. */
const ASKED_MS = 3_600_000;
/** How far apart the clocks of those who ask may be, ms. */
const CLOCKS_MS = 60_000;

/** It was followed before: somebody put it back. */
const wasFollowed = ({ id, askedAt }: ReplayRequest, last: ReplayStatus | undefined): boolean =>
  last !== undefined && (last.before.includes(id) || askedAt < last.request.askedAt - CLOCKS_MS);

function addTo(found: ReplayFound, { id, event }: JournalEntry): ReplayFound {
  const events = { ...found.events, [event]: (found.events[event] ?? 0) + 1 };
  return { count: found.count + 1, first: found.first ?? id, last: id, events };
}

export function createReplay(options: ReplayOptions): Replay {
  const { destination, store, journal, signal, log } = options;
  let replay: ReplayStatus | undefined;
  let chosen: (entry: JournalEntry) => boolean = nothing;
  /** Up to where the handler has come. */
  let cursor: string | undefined;
  /** Entries that are being sent again, in the order of the journal, of which that was not noted yet. */
  const sending = new Set<string>();
  let unsaved = false;
  let loading: Promise<void> | undefined;
  let wake: () => void = nothing;

  function become(next: ReplayStatus): void {
    replay = next;
    chosen = chooser(next.request);
  }
  async function save(next: ReplayStatus): Promise<void> {
    await store.saveReplay(destination, next);
    if (!next.request.dryRun) become(next);
  }
  function load(): Promise<void> {
    loading ??= (async () => {
      const found = await store.replay(destination, "replay");
      if (found) become(found);
    })().catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    return loading;
  }

  /** The entries from a replay's first on, up to one. */
  async function* entries(request: ReplayRequest, until: string): AsyncGenerator<JournalEntry> {
    for (let position = idBefore(startOf(request)), more = true; more && !signal.aborted;) {
      const page = await journal.page(position, PAGE);
      for (const entry of page.entries) {
        if (compareIds(entry.id, until) > 0) return;
        yield entry;
        position = entry.id;
      }
      more = page.more && page.entries.length > 0;
      await nextTurn();
    }
  }
  const wanted = (entry: JournalEntry, choose: (entry: JournalEntry) => boolean): boolean => {
    try {
      return choose(entry) && options.wants(entry);
    } catch {
      return false;
    }
  };

  /** Why it cannot be done, by what the journal has. */
  async function outOfReach(request: ReplayRequest): Promise<ReplayEvent | undefined> {
    const { oldest, trimmed } = await journal.bounds();
    const start = startOf(request);
    if (trimmed && (oldest === undefined || compareIds(start, oldest) < 0))
      return refused("gone", "the journal no longer reaches back that far", oldest ?? null);
    if (!isEntryId(request.from)) return undefined;
    const [first] = (await journal.page(idBefore(start), 1)).entries;
    return first?.id === start ? undefined : refused("unknown-event", `the journal has no entry ${start}`);
  }

  async function countAll(request: ReplayRequest): Promise<ReplayEvent> {
    const filter = request.filter === undefined ? undefined : compileFilter(request.filter);
    if (filter && "error" in filter) return refused("bad-filter", `it cannot work as a filter: ${filter.error}`);
    const beyond = await outOfReach(request);
    if (beyond) return beyond;
    const choose = chooser(request);
    let found = NOTHING_FOUND;
    for await (const entry of entries(request, cursor ?? (await journal.bounds()).newest))
      if (wanted(entry, choose)) found = addTo(found, entry);
    const room = options.backlog - (await options.waiting()).length;
    if (!request.dryRun && found.count > room)
      return refused("too-many", `${found.count} events are to be sent, and its outbox has room for ${room} more`);
    return { type: "counted", found };
  }

  async function count(status: ReplayStatus): Promise<void> {
    const event = await countAll(status.request).catch((error: unknown) => {
      if (error instanceof SealError) return refused("unreadable", error.message);
      throw error;
    });
    if (signal.aborted) return;
    const next = nextReplay(status, event, Date.now());
    await save(next);
    const { state, refusal, found, request } = next;
    log.info({ destination, state, reason: refusal?.reason, count: found.count, dry_run: request.dryRun }, "a replay");
    if (state === "starting") wake();
  }

  /** What waits and was never sent is sent once: by the replay, in its order. The newest first, so that none overtakes another. */
  async function supersedeWaiting(status: ReplayStatus): Promise<void> {
    const { request, before, until } = status;
    if (until === null) return;
    const start = startOf(request);
    const suffixes = ["", ...before.map((id) => replayedAs("", id))];
    const waiting = (await options.waiting()).filter((id) => {
      const entry = entryOf(id);
      if (!isEntryId(entry) || !suffixes.includes(id.slice(entry.length))) return false;
      return compareIds(entry, start) >= 0 && compareIds(entry, until) <= 0;
    });
    if (waiting.length === 0) return;
    const among = new Set(waiting.map(entryOf));
    const again = new Set<string>();
    const choose = chooser(request);
    for await (const entry of entries(request, until))
      if (among.has(entry.id) && wanted(entry, choose)) again.add(entry.id);
    const pairs = waiting
      .filter((id) => again.has(entryOf(id)))
      .map((id) => ({ id, by: replayedAs(entryOf(id), request.id) }))
      .toReversed();
    for (let i = 0; i < pairs.length; i += SUPERSEDED_AT_ONCE)
      options.onRunnable(await options.outbox.supersede(pairs.slice(i, i + SUPERSEDED_AT_ONCE)));
  }

  async function readRequest(): Promise<void> {
    const asked = await store.replayAsked(destination);
    if (!asked || asked.id === replay?.request.id) return;
    const followed = wasFollowed(asked, replay);
    if (followed || asked.askedAt < Date.now() - ASKED_MS) {
      if (followed) options.onForged();
      log.warn({ destination, replay: asked.id }, "a replay that was asked for long ago is not begun");
      return book.dropReplayAsked(destination);
    }
    if (asked.dryRun) {
      const last = await store.replay(destination, "dry-run");
      if (last?.request.id === asked.id && isOver(last.state)) return;
      return count(beginReplay(asked));
    }
    // The API refuses a second one while one is under way: this was asked for at the same moment.
    if (replay && !isOver(replay.state)) return store.dropReplayAsked(destination);
    const before = replay ? [replay.request.id, ...replay.before].slice(0, MAX_BEFORE) : [];
    await save(beginReplay(asked, before));
  }

  async function step(): Promise<void> {
    await load();
    await readRequest();
    if (replay?.state === "counting") await count(replay);
    if (!unsaved || !replay) return;
    unsaved = false;
    await store.saveReplay(destination, replay).catch((error: unknown) => {
      unsaved = true;
      throw error;
    });
  }

  return {
    rewind: {
      listen: (listener) => void (wake = listener),
      wanted: () => replay?.state === "starting",
      async go(position) {
        const status = replay;
        if (!status) return position;
        const until = (await journal.upTo(position)) ?? position;
        const back = idBefore(startOf(status.request));
        const next = nextReplay(status, { type: "joined", until, position: back }, Date.now());
        await save(next);
        await supersedeWaiting(next);
        log.info({ destination, from: startOf(status.request), until, count: next.found.count }, "a replay begins");
        return compareIds(back, position) < 0 ? back : position;
      },
      async resume(place) {
        await load();
        cursor = place;
        if (replay?.state !== "running" || replay.position === null) return place;
        await supersedeWaiting(replay);
        return compareIds(replay.position, place) < 0 ? replay.position : place;
      },
    },
    messageFor(entry) {
      if (replay?.state !== "running" || replay.until === null) return undefined;
      if (compareIds(entry.id, replay.until) > 0) return undefined;
      return chosen(entry) ? replayedAs(entry.id, replay.request.id) : null;
    },
    liveFrom: (place) =>
      replay?.state === "running" && replay.until !== null && compareIds(replay.until, place) > 0
        ? replay.until
        : place,
    planned: (entry) => void sending.add(entry),
    declined: (entry) => void sending.delete(entry),
    noted(position) {
      cursor = position;
      if (replay?.state !== "running" || replay.until === null) return;
      let { queued } = replay;
      for (const entry of sending) {
        if (compareIds(entry, position) > 0) break;
        sending.delete(entry);
        queued += 1;
      }
      const over = compareIds(position, replay.until) >= 0;
      become(nextReplay(replay, { type: "noted", position, queued, over }, Date.now()));
      unsaved = true;
      if (over) log.info({ destination, queued }, "a replay has joined the live flow");
    },
    async run() {
      let failed = false;
      for (; !signal.aborted; await sleep(LOOK_MS, signal)) {
        await step().then(
          () => void (failed = false),
          (error: unknown) => {
            if (!failed && !signal.aborted) log.warn({ destination, reason: whyFailed(error) }, "a replay waits");
            failed = true;
          },
        );
      }
    },
  };
}
