import type { NewMessage } from "../../shared/outbox/outbox.ts";
import type { Move } from "../../shared/moves/move.ts";
import type { Moves } from "../../shared/moves/moves.ts";
import { sleep } from "../../shared/util/sleep.ts";
import { unitKey } from "../../shared/vocabulary/ordering-key.ts";
import type { Caller } from "../http/caller.ts";
import { Problem } from "../http/problem.ts";
import type { Taken } from "../routes/commands.ts";
import { type CadOfApi, type Chooser, idsOf } from "./choose.ts";

/** A move of a unit lets none of the CADs accept for a few milliseconds: so long a command is offered again, ms. */
const OFFER_MS = 1000;
const AGAIN_MS = 25;

/** What a CAD that a unit was moved to must know of the move to accept a command: see shared/outbox/append.ts. */
const marksOf = (moved: ReadonlyMap<string, Move>): Record<string, string> =>
  Object.fromEntries([...moved].map(([unit, { n }]) => [unitKey(unit), `here:${n}`]));

/** Taken by that CAD. */
type TakenBy = Taken & { id: string };

export interface TakeDeps {
  cads: readonly CadOfApi[];
  chooser: Chooser;
  moves: Pick<Moves, "of">;
  /** A clock that does not jump, ms. */
  monotonic: () => number;
}

/**
 * Gives a command to the CAD that it is for. A unit is taken to be where CADS_FILE says: only if that CAD answers that the unit was
 * moved is it looked up where to, so that a unit that never moved costs nothing.
 * @param addressed the CAD that the path names
 */
export function createTake({ cads, chooser, moves, monotonic }: TakeDeps, addressed?: CadOfApi) {
  const choose = (message: NewMessage, caller: Caller, moved?: ReadonlyMap<string, Move>) =>
    addressed
      ? chooser.checkAddressed(addressed, message.keys, moved)
      : chooser.forCommand(message.keys, caller, moved);

  /** An Idempotency-Key may stand for a command at a CAD where the unit was before: that one knows it, and accepts nothing new. */
  async function known(
    message: NewMessage,
    moved: ReadonlyMap<string, Move>,
    at: CadOfApi,
  ): Promise<TakenBy | undefined> {
    const past = new Set(message.idempotencyKey === undefined ? [] : [...moved.values()].flatMap((move) => move.past));
    for (const cad of cads.filter(({ id }) => past.has(id) && id !== at.id)) {
      const appended = await cad.backend.accept(message);
      if (appended.outcome !== "moved") return { ...cad, appended };
    }
    return undefined;
  }

  async function offer(message: NewMessage, caller: Caller): Promise<TakenBy | undefined> {
    const moved = await moves.of(idsOf(message.keys, "unit"));
    const cad = await choose(message, caller, moved);
    const before = await known(message, moved, cad);
    if (before) return before;
    const appended = await cad.backend.accept({ ...message, moved: marksOf(moved) });
    return appended.outcome === "moved" ? undefined : { ...cad, appended };
  }

  async function take(message: NewMessage, caller: Caller): Promise<TakenBy> {
    const hasUnit = idsOf(message.keys, "unit").length > 0;
    try {
      const cad = await choose(message, caller);
      const appended = await cad.backend.accept(message);
      if (appended.outcome !== "moved") return { ...cad, appended };
    } catch (error) {
      // What the file says of a unit that moved decides nothing.
      if (!hasUnit || !(error instanceof Problem)) throw error;
    }
    for (const until = monotonic() + OFFER_MS; monotonic() < until; await sleep(AGAIN_MS)) {
      const taken = await offer(message, caller);
      if (taken) return taken;
    }
    throw new Problem("unit-moving", "A unit is being moved from one CAD to another. Nothing was accepted.");
  }

  return async (message: NewMessage, caller: Caller): Promise<TakenBy> => {
    const taken = await take(message, caller);
    if (taken.appended.outcome === "accepted") await chooser.remember(message.keys, taken.id);
    return taken;
  };
}
