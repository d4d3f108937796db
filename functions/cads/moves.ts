import type { Context, Hono } from "hono";
import type { z } from "zod";
import { isPending, type Move, type MoveAsk, placeOf } from "../../shared/moves/move.ts";
import { type Moves, TooManyMoves } from "../../shared/moves/moves.ts";
import type { RoutingTable } from "../../shared/cads/routing.ts";
import { CADS_ENDPOINTS } from "../../shared/vocabulary/roles.ts";
import { unitKey } from "../../shared/vocabulary/ordering-key.ts";
import type { Caller, CallerEnv } from "../http/caller.ts";
import { jsonBody, noBody } from "../http/json-body.ts";
import { invalidBody, noSuch, Problem } from "../http/problem.ts";
import { type Authenticate, forbidden, requireRole } from "../middleware/auth.ts";
import { mayTouch } from "../middleware/scope.ts";
import { noteOf } from "../routes/audit.ts";
import { type moveAnswer, moveBody } from "../routes/cads.ts";
import { admits, type CadOfApi } from "./choose.ts";

export interface MoveRoutesDeps {
  cads: readonly CadOfApi[];
  table: RoutingTable;
  moves: Moves;
  basePath: string;
  authenticate: Authenticate;
  now: () => Date;
}

/** Moving a unit from one CAD to another, looking how that goes, and moving it back. */
export function serveMoves(app: Hono<CallerEnv>, deps: MoveRoutesDeps): void {
  const { cads, table, moves, basePath, authenticate, now } = deps;
  const byId = new Map(cads.map((cad) => [cad.id, cad]));
  const allow = (endpoint: keyof typeof CADS_ENDPOINTS) => requireRole(authenticate, CADS_ENDPOINTS[endpoint]);

  async function answer(move: Move): Promise<z.input<typeof moveAnswer>> {
    const { unit, from, to, at, by, backAt } = move;
    const counts = move.open.map(async (step) => {
      const commands = (await moves.waitsFor(unit, step)) ?? null;
      return { cad: step.from, commands };
    });
    const pending = isPending(move);
    return {
      ...{ unit, from, to, pending, waits_for: await Promise.all(counts), since: at, by },
      back_at: (pending && backAt) || null,
    };
  }
  const lastOf = async (unit: string) => (await moves.of([unit])).get(unit);

  /** The CAD that owns the unit by the file. Throws if the caller may not move it from where it is. */
  function homeOf(caller: Caller, unit: string, last: Move | undefined): string {
    if (!mayTouch(caller, [unitKey(unit)]))
      throw forbidden("outside-units", `The token's units claim does not contain ${unit}.`, { units: [unit] });
    const home = table.ofUnit(unit);
    if (home === undefined)
      throw new Problem(
        "move-refused",
        "No CAD owns the unit by a pattern of CADS_FILE: it has no place to be moved from.",
      );
    checkMay(caller, last?.to ?? home);
    return home;
  }
  function checkMay(caller: Caller, id: string): void {
    const cad = byId.get(id);
    if (cad && !admits(cad, caller))
      throw forbidden("wrong-org", `The token's org claim is not an organisation of the CAD ${id}.`);
  }

  /** Noted in the audit trails of both CADs before it is done. */
  async function start(c: Context<CallerEnv>, asked: Omit<MoveAsk, "by" | "at">, from: string): Promise<Move> {
    const note = noteOf(c, basePath, [unitKey(asked.unit)]);
    const trails = [byId.get(from), byId.get(asked.to)].flatMap((cad) => cad?.backend ?? []);
    const write = (outcome: "requested" | "done") => Promise.all(trails.map((one) => one.note(note, outcome, "")));
    await write("requested");
    try {
      const started = await moves.start({ ...asked, by: note.user, at: now() });
      await write("done");
      const { move } = started;
      if (move) return move;
      throw new Problem("move-refused", `The unit belongs to the CAD ${asked.to} by CADS_FILE, and was not moved.`);
    } catch (error) {
      if (error instanceof TooManyMoves) throw new Problem("move-refused", `It was moved too often: ${error.message}.`);
      throw error;
    }
  }
  const respond = async (c: Context, move: Move) => c.json(await answer(move), isPending(move) ? 202 : 200);

  app.post("/units/:id/move", allow("POST /units/{id}/move"), jsonBody(moveBody, invalidBody), async (c) => {
    const { to, deadline_seconds: seconds } = c.req.valid("json");
    const unit = c.req.param("id");
    const caller = c.get("caller");
    const last = await lastOf(unit);
    const home = homeOf(caller, unit, last);
    if (!byId.has(to)) throw new Problem("move-refused", "There is no CAD of this id.");
    checkMay(caller, to);
    const backAt = seconds === undefined ? undefined : new Date(now().getTime() + seconds * 1000);
    return await respond(c, await start(c, { unit, home, to, backAt }, last?.to ?? home));
  });

  app.get("/units/:id/move", allow("GET /units/{id}/move"), async (c) => {
    const unit = c.req.param("id");
    const move = mayTouch(c.get("caller"), [unitKey(unit)]) ? await lastOf(unit) : undefined;
    if (!move || placeOf(move, table.ofUnit(unit)) !== move.to) throw noSuch("move of the unit", unit);
    return c.json(await answer(move));
  });

  app.delete("/units/:id/move", allow("DELETE /units/{id}/move"), noBody, async (c) => {
    const unit = c.req.param("id");
    const last = await lastOf(unit);
    const home = homeOf(c.get("caller"), unit, last);
    if (!last || !isPending(last)) throw noSuch("move that waits of the unit", unit);
    checkMay(c.get("caller"), last.from);
    return await respond(c, await start(c, { unit, home, to: last.from }, last.to));
  });
}
