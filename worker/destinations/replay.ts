import {
  beginReplay,
  isOver,
  replayedAs,
  type ReplayRequest,
  type ReplayStatus,
} from "../../shared/destinations/replay.ts";
import type { DestinationStore } from "../../shared/destinations/store.ts";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import type { OwnedOutbox } from "../../shared/outbox/owned.ts";
import { whyFailed } from "../../shared/redis/fault.ts";
import { compareIds, idBefore } from "../../shared/redis/stream-id.ts";
import { SealError } from "../../shared/sealing/seal.ts";
import type { Log } from "../../shared/util/log.ts";
import { sleep } from "../../shared/util/sleep.ts";
import type { Rewind } from "../events/handlers/handler.ts";
import { createReplayScan, type ReplayScanOptions, startOf } from "./replay-scan.ts";
import { nextReplay } from "./replay-state.ts";

/** How often it is looked whether somebody asked, and how often progress is stored, ms. */
const LOOK_MS = 500;
/** How many replays before are looked at for messages that wait still, and how many messages one step ends. */
const MAX_BEFORE = 5;
const SUPERSEDED_AT_ONCE = 500;

export interface ReplayOptions extends ReplayScanOptions {
  destination: string;
  store: Pick<DestinationStore, "replayAsked" | "dropReplayAsked" | "replay" | "saveReplay">;
  outbox: Pick<OwnedOutbox, "supersede">;
  /** Those can be sent now. */
  onRunnable(ids: readonly string[]): void;
  /** What was followed before is asked for again. */
  onForged(): void;
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

const nothing = (): false => false;

/** A request for a replay that is older than this is not started: it has to be repeated, ms. */
const ASKED_MS = 3_600_000;
/** How far apart the clocks of those who ask may be, ms. */
const CLOCKS_MS = 60_000;

/** It was followed before: somebody put it back. */
const wasFollowed = ({ id, askedAt }: ReplayRequest, last: ReplayStatus | undefined): boolean =>
  last !== undefined && (last.before.includes(id) || askedAt < last.request.askedAt - CLOCKS_MS);

export function createReplay(options: ReplayOptions): Replay {
  const { destination, store, journal, signal, log } = options;
  const scan = createReplayScan(options);
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
    chosen = scan.chooserOf(next.request).choose;
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

  async function count(status: ReplayStatus): Promise<void> {
    const event = await scan.count(status.request, cursor).catch((error: unknown) => {
      if (error instanceof SealError)
        return {
          type: "refused" as const,
          refusal: { code: "unreadable" as const, reason: error.message, oldest: null },
        };
      throw error;
    });
    if (signal.aborted) return;
    const next = nextReplay(status, event, Date.now());
    await save(next);
    const { state, refusal, found, request } = next;
    log.info({ destination, state, reason: refusal?.reason, count: found.count, dry_run: request.dryRun }, "a replay");
    if (state === "starting") wake();
  }

  async function supersedeWaiting(status: ReplayStatus): Promise<void> {
    const pairs = await scan.waitingAgain(status);
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
      return store.dropReplayAsked(destination);
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
