import { type Found, found } from "../../shared/health/problems.ts";
import { isPending, type Move } from "../../shared/moves/move.ts";
import type { Moves } from "../../shared/moves/moves.ts";
import { whyFailed } from "../../shared/redis/fault.ts";
import { sleep, withDeadline } from "../../shared/util/sleep.ts";
import type { Log } from "../../shared/util/log.ts";

const LOOK_MS = 500;
const ANSWER_MS = 2000;
/** A move that waits longer than this is reported, ms: commands are settled within a few seconds unless the CAD does not take them. */
const REPORT_MS = 10_000;

/** Continues the pending moves of units: every worker does, since each step is safe to repeat. */
export interface Mover {
  /** Until the signal aborts. Never rejects. */
  run(): Promise<void>;
  /** Of the CAD to which units are moved that cannot come yet. */
  problems(cad: string): Found[];
}

export function createMover(deps: { moves: Moves; now: () => Date; signal: AbortSignal; log: Log }): Mover {
  const { moves, now, signal, log } = deps;
  let waiting: Move[] = [];
  let failing = false;

  async function goOn(unit: string): Promise<Move[]> {
    const move = await moves.advance(unit);
    if (!move || !isPending(move)) return [];
    if (move.backAt === undefined || now() < new Date(move.backAt)) return [move];
    const { home, from: to } = move;
    log.warn({ from: move.to, to }, "a unit is moved back: its move still waited at its deadline");
    const back = await moves.start({ unit, home, to, by: "deadline", at: now() });
    return back.move && isPending(back.move) ? [back.move] : [];
  }
  async function look(): Promise<Move[]> {
    const left: Move[] = [];
    for (const unit of await moves.pending()) left.push(...(await goOn(unit)));
    return left;
  }

  return {
    async run() {
      for (; !signal.aborted; await sleep(LOOK_MS, signal)) {
        try {
          waiting = await withDeadline(look(), ANSWER_MS, "moving units");
          failing = false;
        } catch (error) {
          // Pending moves stay as they are, and continue once Redis answers.
          if (!failing) log.warn({ reason: whyFailed(error) }, "units that are being moved between CADs wait");
          failing = true;
        }
      }
    },
    problems(cad) {
      const late = waiting.filter(({ to, at }) => to === cad && now().getTime() - Date.parse(at) >= REPORT_MS);
      const since = late.map(({ at }) => at).toSorted()[0];
      const from = [...new Set(late.flatMap(({ open }) => open.map((step) => step.from)))].toSorted().join(", ");
      return since === undefined
        ? []
        : [found("move-pending", { count: late.length, from }, { since, count: late.length })];
    },
  };
}
