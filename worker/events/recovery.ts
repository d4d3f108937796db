import { BRIDGE_EVENTS } from "../../shared/journal/entry.ts";
import type { Gap, Gaps } from "../../shared/journal/gaps.ts";
import { type JournalWriter, SEEN_MS } from "../../shared/journal/write.ts";
import type { WorkerHealth } from "../../shared/health/worker-health.ts";
import { whyFailed } from "../../shared/redis/fault.ts";
import type { Log } from "../../shared/util/log.ts";
import { sleep } from "../../shared/util/sleep.ts";
import { type Micros, toIso } from "../../shared/util/time.ts";
import type { OpenConnection } from "../cad/open-connection.ts";
import type { Inbound } from "./inbound.ts";
import { replay } from "./replay.ts";

/** How often it is recorded until when the journal is complete, ms: after a crash, events are requested from there on. */
const NOTE_MS = 3000;
/** Overlap of a request with what is known, us, since clocks differ. Known events are recognised by the CAD's ids. */
const MARGIN_US = 60_000_000;
/** Event ids older than this may be forgotten, and repeated events would not be recognised, us. */
const REACH_US = (SEEN_MS - 3_600_000) * 1000;
const AGAIN_MS = 500;

/**
 * Ensures that no event of the CAD is missed silently. After a lost connection, after a start, and after events were lost
 * here, it recovers what was missed, or records in the journal that something may be missing.
 */
export interface Recovery {
  /** To be called for each new connection to the CAD, after the previous one has ended. */
  follow(connection: OpenConnection): void;
  /** To be called when received events were lost here. */
  lost(): void;
  status(): WorkerHealth["recovery"];
}

export interface RecoveryOptions {
  journal: Pick<JournalWriter, "noteComplete" | "completeUntil">;
  gaps: Gaps;
  inbound: Pick<Inbound, "take" | "say" | "hold" | "release" | "flushed" | "lost" | "found" | "recovered">;
  signal: AbortSignal;
  log: Log;
}

export function createRecovery({ journal, gaps, inbound, signal, log }: RecoveryOptions): Recovery {
  /** Something before the present connection may have been missed, and is neither recovered nor recorded yet. */
  let owed = true;
  let present: OpenConnection | undefined;
  let shown: Gap[] | undefined;
  let woken = new AbortController();

  /** Until the connection ends. */
  async function attend(connection: OpenConnection, over: AbortSignal): Promise<void> {
    const made = performance.now();
    const unlessOver: UnlessOver = (step) => unlessAborted(step, over);
    await unlessOver(connection.ready);
    while (!over.aborted) {
      woken = new AbortController();
      try {
        shown ??= await unlessOver(gaps.recent());
        if (owed || inbound.lost() > 0) await recover(connection, made, unlessOver);
        await noteComplete(connection, unlessOver);
        await sleep(NOTE_MS, AbortSignal.any([over, woken.signal]));
      } catch (error) {
        if (over.aborted) return;
        log.warn({ reason: whyFailed(error) }, "missed events cannot be recovered yet: retrying");
        await sleep(AGAIN_MS, over);
      }
    }
  }

  type UnlessOver = <T>(step: Promise<T>) => Promise<T>;

  async function recover(connection: OpenConnection, made: number, unlessOver: UnlessOver): Promise<void> {
    inbound.hold();
    const lost = inbound.lost();
    await flush(unlessOver);
    const { until, now } = await unlessOver(journal.completeUntil());
    const openedAt = now - Math.round((performance.now() - made) * 1000);
    // The very first connection: nothing came before it.
    if (until === undefined) await unlessOver(journal.noteComplete(openedAt));
    else await recoverSince(until, { connection, unlessOver, now, to: lost > 0 ? now : openedAt });
    if (inbound.lost() === lost) {
      inbound.found();
      owed = false;
    }
    inbound.release();
  }

  async function recoverSince(
    knownUntil: Micros,
    {
      connection,
      unlessOver,
      now,
      to,
    }: { connection: OpenConnection; unlessOver: UnlessOver; now: Micros; to: Micros },
  ): Promise<void> {
    const since = Math.max(knownUntil - MARGIN_US, now - REACH_US);
    const before = inbound.recovered();
    const missing = await replay({
      connection,
      knownUntil: Math.max(knownUntil, since),
      since,
      async take(events) {
        for (const event of events) void inbound.take({ ...event, recovered: true });
        await flush(unlessOver);
      },
    });
    const reason = "too long ago: repeated events would not be recognised";
    if (since > knownUntil) await recordGap({ from: knownUntil, to: since, reason }, unlessOver);
    if (missing) await recordGap({ to: Math.max(to, missing.from), ...missing }, unlessOver);
    log.info(
      { since: toIso(knownUntil), recovered: inbound.recovered() - before },
      "missed events were recovered, or recorded as a gap",
    );
  }

  async function recordGap({ from, to, reason }: { from: Micros; to: Micros; reason: string }, unlessOver: UnlessOver) {
    const gap: Gap = { from: toIso(from), to: toIso(to), reason };
    const written = inbound.say(BRIDGE_EVENTS.gap, ["other"], gap, { recovered: false });
    // Noted even if the connection ends right after it was written: health counts what the journal has.
    const noted = written.then((was) => (was ? gaps.note(gap) : undefined)).catch(() => undefined);
    if (!(await unlessOver(written))) throw new Error("the gap was not recorded");
    log.warn(gap, "events of this time may be missing");
    shown = [...(shown ?? []), gap];
    await unlessOver(noted);
  }

  async function flush(unlessOver: UnlessOver): Promise<void> {
    if (!(await unlessOver(inbound.flushed()))) throw new Error("not in the journal");
  }

  /** Records that everything the CAD had sent when this began is in the journal. */
  async function noteComplete(connection: OpenConnection, unlessOver: UnlessOver): Promise<void> {
    const { now } = await unlessOver(journal.completeUntil());
    await unlessOver(connection.proof());
    await flush(unlessOver);
    if (!owed && inbound.lost() === 0) await unlessOver(journal.noteComplete(now));
  }

  return {
    follow(connection) {
      present = connection;
      if (!connection.recovered) owed = true;
      if (owed || inbound.lost() > 0) inbound.hold();
      const over = AbortSignal.any([connection.ended, signal]);
      // At once, before anything else that ends with it: held events are still to be written.
      over.addEventListener("abort", () => present === connection && inbound.release(), { once: true });
      void attend(connection, over).catch(() => undefined);
    },
    lost: () => woken.abort(),
    status() {
      const dayAgo = Date.now() - 24 * 3_600_000;
      shown = shown?.filter((g) => Date.parse(g.to) > dayAgo);
      return {
        recovering: owed || inbound.lost() > 0,
        recovered: inbound.recovered(),
        gaps_24h: shown?.length ?? 0,
        last_gap: shown?.at(-1) ?? null,
      };
    },
  };
}

/** The step's result, or an Error once the signal aborts. Leaves no listener on a signal that lives for days. */
function unlessAborted<T>(step: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new Error("over"));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    void step.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
