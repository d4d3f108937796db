import { z } from "zod";

/**
 * A unit that moved from one CAD to another. A move consists of these steps, each safe to repeat, so that any process can finish
 * what a process that died has begun:
 *
 * 1. it is recorded, with a number higher than that of any move of the unit before;
 * 2. at the new CAD, a barrier takes the end of the unit's queue: nothing behind it can be sent;
 * 3. the old CAD accepts nothing more for the unit;
 * 4. the new CAD accepts what comes with the number of this move, behind the barrier;
 * 5. once everything before it at the old CAD is settled, the barrier is released.
 *
 * Step 3 comes before step 4: so whatever the new CAD accepts comes after whatever the old one did, and 5 sends it after that. To
 * cancel a move is to move the unit back: what waits at both CADs keeps its order.
 */
const step = z.object({ n: z.int().min(1), from: z.string(), to: z.string() });
export type MoveStep = z.infer<typeof step>;

const move = z.object({
  ...{ unit: z.string(), n: z.int().min(1), from: z.string(), to: z.string() },
  /** The CAD that owns the unit by CADS_FILE. Once the file says another one, the move does not count any more. */
  home: z.string(),
  /** Where the unit was before, without `to`: there its idempotency keys are. */
  past: z.array(z.string()),
  /** The moves whose barrier is not released, the oldest first. */
  open: z.array(step),
  by: z.string(),
  at: z.iso.datetime(),
  /** When the unit is moved back if it still waits. */
  backAt: z.iso.datetime().optional(),
});
/** The last move of a unit. */
export type Move = z.infer<typeof move>;

/** Maximum number of open moves of one unit. */
export const MAX_OPEN = 10;
const MAX_PAST = 20;

export const isPending = ({ open }: Move): boolean => open.length > 0;

/** Throws for what this version does not know. */
export const parseMove = (text: string): Move => move.parse(JSON.parse(text));

export interface MoveAsk {
  unit: string;
  /** The CAD that owns the unit by CADS_FILE. */
  home: string;
  to: string;
  by: string;
  at: Date;
  backAt?: Date | undefined;
}

/** Where a unit is: by its last move, unless CADS_FILE says otherwise since. */
export const placeOf = (last: Move | undefined, home: string | undefined): string | undefined =>
  last && last.home === home ? last.to : home;

/** The move that is asked for; undefined if the unit is there already. */
export function nextMove(last: Move | undefined, ask: MoveAsk): Move | undefined {
  // Where it really is, whatever the file says by now: there its commands wait.
  const from = last?.to ?? ask.home;
  if (from === ask.to) return last && last.home !== ask.home ? { ...last, home: ask.home } : undefined;
  const n = (last?.n ?? 0) + 1;
  const past = [...new Set([from, ...(last?.past ?? [])])].filter((cad) => cad !== ask.to).slice(0, MAX_PAST);
  return {
    ...{ unit: ask.unit, n, from, to: ask.to, home: ask.home, past, by: ask.by, at: ask.at.toISOString() },
    open: [...(last?.open ?? []), { n, from, to: ask.to }],
    ...(ask.backAt && { backAt: ask.backAt.toISOString() }),
  };
}
