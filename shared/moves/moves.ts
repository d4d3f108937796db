import type { Redis } from "ioredis";
import { cadsKeys } from "../cads/keys.ts";
import { boolean, defineScript, openScript, string } from "../redis/script.ts";
import { openClear, storeClear } from "../sealing/clear.ts";
import type { Sealer } from "../sealing/seal.ts";
import { isPending, MAX_OPEN, type Move, type MoveAsk, type MoveStep, nextMove, parseMove } from "./move.ts";
import { type MoveSteps, openMoveSteps } from "./steps.ts";

/** `was`: the value that is replaced; empty for none. Answers whether it was that value. */
const REPLACE = defineScript(
  "moveReplace",
  { unit: string, was: string, value: string, open: boolean },
  `#!lua
local moves, open = KEYS[1], KEYS[2]
if (redis.call('HGET', moves, args.unit) or '') ~= args.was then return 0 end
redis.call('HSET', moves, args.unit, args.value)
redis.call(args.open and 'SADD' or 'SREM', open, args.unit)
return 1`,
);

/** Maximum number of units per round. */
const MOST = 500;

export type Started = { outcome: "moved"; move: Move } | { outcome: "already-there"; move: Move | undefined };

/** The units that moved from one of several CADs to another. Every call rejects if Redis does not answer, and may be repeated. */
export interface Moves {
  /** The last move of each of these that moved. Throws SealError for one that the bridge did not write. */
  of(units: readonly string[]): Promise<Map<string, Move>>;
  /** Records a move and goes as far with it as it can. Throws TooManyMoves. */
  start(ask: MoveAsk): Promise<Started>;
  /** Continues the pending moves of a unit; returns its last move. */
  advance(unit: string): Promise<Move | undefined>;
  /** The units with a move that waits. */
  pending(): Promise<string[]>;
  /** How many commands a step waits for at its old CAD: up to 1000; undefined if that one is not in CADS_FILE any more. */
  waitsFor(unit: string, step: MoveStep): Promise<number | undefined>;
}

export class TooManyMoves extends Error {
  override name = "TooManyMoves";
}

/**
 * @param prefix REDIS_PREFIX
 * @param prefixes those of the CADs, by their ids
 */
export function openMoves(redis: Redis, prefix: string, sealer: Sealer, prefixes: ReadonlyMap<string, string>): Moves {
  const keys = cadsKeys(prefix);
  const replace = openScript(redis, REPLACE, [keys.moves, keys.movesOpen]);
  const steps = new Map([...prefixes].map(([id, own]): [string, MoveSteps] => [id, openMoveSteps(redis, own)]));

  const idOf = (unit: string) => JSON.stringify([prefix, unit]);
  const open = (unit: string, stored: string): Move => parseMove(openClear(sealer, "unit-move", idOf(unit), stored));
  async function read(unit: string): Promise<{ was: string; move: Move | undefined }> {
    const stored = await redis.hget(keys.moves, unit);
    return { was: stored ?? "", move: stored === null ? undefined : open(unit, stored) };
  }
  async function write(was: string, move: Move): Promise<boolean> {
    const value = storeClear(sealer, "unit-move", idOf(move.unit), JSON.stringify(move));
    return (await replace({ unit: move.unit, was, value, open: isPending(move) })) === 1;
  }

  /** The steps before the barriers are released, of one move after the other; a CAD that is gone from the file has none. */
  async function route({ unit, open: waiting }: Move): Promise<void> {
    for (const { n, from, to } of waiting) {
      await steps.get(to)?.block(unit, n);
      await steps.get(from)?.mark(unit, n, "away");
      await steps.get(to)?.mark(unit, n, "here");
    }
  }
  const before = async (unit: string, { n, from }: MoveStep) => await steps.get(from)?.before(unit, n);

  /** Whether the barrier of a step is released, after it was if it may be. */
  async function tryRelease(unit: string, step: MoveStep): Promise<boolean> {
    const to = steps.get(step.to);
    if (!to || (await to.isReleased(unit, step.n))) return true;
    if ((await before(unit, step))?.any !== false) return false;
    await to.release(unit, step.n);
    return true;
  }

  async function advance(unit: string): Promise<Move | undefined> {
    const { was, move } = await read(unit);
    if (!move || !isPending(move)) return move;
    await route(move);
    const left: MoveStep[] = [];
    for (const step of move.open) if (!(await tryRelease(unit, step))) left.push(step);
    const next = { ...move, open: left };
    if (left.length === move.open.length || (await write(was, next))) return next;
    // Somebody else went on with it.
    return (await read(unit)).move;
  }

  return {
    async of(units) {
      const [first, ...more] = units;
      if (first === undefined) return new Map();
      const stored = await redis.hmget(keys.moves, first, ...more);
      return new Map(units.flatMap((unit, i) => (stored[i] ? [[unit, open(unit, stored[i])]] : [])));
    },
    async start(ask) {
      for (;;) {
        // All steps of the move before have to be done by then.
        await advance(ask.unit);
        const { was, move: last } = await read(ask.unit);
        const next = nextMove(last, ask);
        if (!next) return { outcome: "already-there", move: last };
        if (next.open.length > MAX_OPEN) throw new TooManyMoves(`${MAX_OPEN} moves of the unit wait already`);
        if (await write(was, next)) return { outcome: "moved", move: (await advance(ask.unit)) ?? next };
      }
    },
    advance,
    pending: async () => (await redis.smembers(keys.movesOpen)).slice(0, MOST),
    waitsFor: async (unit, step) => (await before(unit, step))?.commands,
  };
}
