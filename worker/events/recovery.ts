import { BRIDGE_EVENTS } from "../../shared/journal/entry.ts";
import type { Gap, Gaps } from "../../shared/journal/gaps.ts";
import { type JournalWriter, SEEN_MS } from "../../shared/journal/write.ts";
import type { WorkerHealth } from "../../shared/health/worker-health.ts";
import { whyFailed } from "../../shared/redis/fault.ts";
import type { Log } from "../../shared/util/log.ts";
import { sleep } from "../../shared/util/sleep.ts";
import { type Micros, toIso } from "../../shared/util/time.ts";
import type { Line } from "../cad/line.ts";
import type { Inbound } from "./inbound.ts";
import { replay } from "./replay.ts";

/** How often it is noted until when everything is in the journal, ms: what is asked for again after a crash begins there. */
const NOTE_MS = 3000;
/** So much more is asked for, us, since clocks differ: what is known already is recognised by the CAD's own ids. */
const MARGIN_US = 60_000_000;
/** Further back an id may be forgotten, and what comes again would not be recognised, us. */
const REACH_US = (SEEN_MS - 3_600_000) * 1000;
const AGAIN_MS = 500;

/**
 * Sees to it that nothing of what the CAD sent is missed in silence. After a line to the CAD broke, after a start, and after
 * events were lost here, it recovers what was missed, or says in the journal that something may be missing.
 */
export interface Recovery {
  /** There is a new line to the CAD; the one before has ended. */
  follow(line: Line): void;
  /** Events that came on the line were lost here. */
  lost(): void;
  status(): WorkerHealth["recovery"];
}

export interface RecoveryOptions {
  journal: Pick<JournalWriter, "heard" | "lastHeard">;
  gaps: Gaps;
  inbound: Pick<Inbound, "take" | "say" | "hold" | "release" | "flushed" | "lost" | "found" | "recovered">;
  signal: AbortSignal;
  log: Log;
}

export function createRecovery({ journal, gaps, inbound, signal, log }: RecoveryOptions): Recovery {
  /** Something before the present line may have been missed, and is not yet recovered or told of. */
  let owed = true;
  let present: Line | undefined;
  let shown: Gap[] | undefined;
  let woken = new AbortController();

  /** Goes along with one line until it ends. */
  async function attend(line: Line, over: AbortSignal): Promise<void> {
    const made = performance.now();
    const unlessOver: UnlessOver = (step) => unlessAborted(step, over);
    await unlessOver(line.ready);
    while (!over.aborted) {
      woken = new AbortController();
      try {
        shown ??= await unlessOver(gaps.recent());
        if (owed || inbound.lost() > 0) await recover(line, made, unlessOver);
        await noteHeard(line, unlessOver);
        await sleep(NOTE_MS, AbortSignal.any([over, woken.signal]));
      } catch (error) {
        if (over.aborted) return;
        log.warn({ reason: whyFailed(error) }, "missed events cannot be recovered yet: retrying");
        await sleep(AGAIN_MS, over);
      }
    }
  }

  type UnlessOver = <T>(step: Promise<T>) => Promise<T>;

  async function recover(line: Line, made: number, unlessOver: UnlessOver): Promise<void> {
    inbound.hold();
    const lost = inbound.lost();
    await flush(unlessOver);
    const { heard, now } = await unlessOver(journal.lastHeard());
    const lineMade = now - Math.round((performance.now() - made) * 1000);
    // The first line of all: before it there is nothing.
    if (heard === undefined) await unlessOver(journal.heard(lineMade));
    else await recoverSince(heard, { line, unlessOver, now, to: lost > 0 ? now : lineMade });
    if (inbound.lost() === lost) {
      inbound.found();
      owed = false;
    }
    inbound.release();
  }

  async function recoverSince(
    heard: Micros,
    { line, unlessOver, now, to }: { line: Line; unlessOver: UnlessOver; now: Micros; to: Micros },
  ): Promise<void> {
    const since = Math.max(heard - MARGIN_US, now - REACH_US);
    const before = inbound.recovered();
    const missing = await replay({
      line,
      heard: Math.max(heard, since),
      since,
      async take(events) {
        for (const event of events) void inbound.take({ ...event, recovered: true });
        await flush(unlessOver);
      },
    });
    const reason = "longer ago than what comes again is recognised";
    if (since > heard) await tell({ from: heard, to: since, reason }, unlessOver);
    if (missing) await tell({ to: Math.max(to, missing.from), ...missing }, unlessOver);
    log.info(
      { since: toIso(heard), recovered: inbound.recovered() - before },
      "what was missed is recovered, or told of",
    );
  }

  async function tell({ from, to, reason }: { from: Micros; to: Micros; reason: string }, unlessOver: UnlessOver) {
    const gap: Gap = { from: toIso(from), to: toIso(to), reason };
    const told = inbound.say(BRIDGE_EVENTS.gap, ["other"], gap, { recovered: false });
    // Noted even if the line ends right after it was told: else health would not count what the journal has.
    const noted = told.then((was) => (was ? gaps.note(gap) : undefined)).catch(() => undefined);
    if (!(await unlessOver(told))) throw new Error("not told");
    log.warn(gap, "events of this time may be missing");
    shown = [...(shown ?? []), gap];
    await unlessOver(noted);
  }

  async function flush(unlessOver: UnlessOver): Promise<void> {
    if (!(await unlessOver(inbound.flushed()))) throw new Error("not in the journal");
  }

  /** Notes that all that the CAD had sent when this began is in the journal. */
  async function noteHeard(line: Line, unlessOver: UnlessOver): Promise<void> {
    const { now } = await unlessOver(journal.lastHeard());
    await unlessOver(line.proof());
    await flush(unlessOver);
    if (!owed && inbound.lost() === 0) await unlessOver(journal.heard(now));
  }

  return {
    follow(line) {
      present = line;
      if (!line.recovered) owed = true;
      if (owed || inbound.lost() > 0) inbound.hold();
      const over = AbortSignal.any([line.ended, signal]);
      // At once, and before anything else that ends with it: what is held is to be written still.
      over.addEventListener("abort", () => present === line && inbound.release(), { once: true });
      void attend(line, over).catch(() => undefined);
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

/** The step's own result, or an Error once the signal aborts. Leaves nothing behind on a signal that lives for days. */
function unlessAborted<T>(step: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new Error("over"));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    void step.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
