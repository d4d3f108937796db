import type { Cad } from "../../shared/cads/load.ts";
import { decide, type RoutingTable } from "../../shared/cads/routing.ts";
import { type Move, placeOf } from "../../shared/moves/move.ts";
import type { Moves } from "../../shared/moves/moves.ts";
import type { Owns } from "../../shared/cads/schema.ts";
import { BoundedMap } from "../../shared/util/bounded-map.ts";
import { incidentKey, type OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import type { Backend } from "../backend/backend.ts";
import type { Caller } from "../http/caller.ts";
import { noSuch, Problem } from "../http/problem.ts";
import { forbidden } from "../middleware/auth.ts";

/** One of several CADs, from the functions' point of view. */
export interface CadOfApi {
  id: string;
  owns: Owns;
  /** Base path of this CAD's own API. */
  basePath: string;
  backend: Backend;
  /** The organisations whose tokens it accepts; undefined: any. */
  organisations: readonly string[] | undefined;
}

/** The CADs of the file. @param org ORG: the organisation of CADs that list none */
export const cadsOfApi = (
  cads: readonly Cad[],
  org: string | undefined,
  backendOf: (cad: Cad, i: number) => Backend,
): Omit<CadOfApi, "basePath">[] =>
  cads.map((cad, i) => {
    const { id } = cad;
    const { owns } = cad.entry;
    const named = owns === "everything" ? undefined : owns.organisations;
    return { id, owns, backend: backendOf(cad, i), organisations: named ?? (org === undefined ? undefined : [org]) };
  });

/** Number of incidents that this process knows to be remembered, and how long it relies on that, ms. */
const KNOWN_INCIDENTS = 20_000;
const KNOWN_MS = 3_600_000;

export const admits = ({ organisations }: CadOfApi, { org }: Caller): boolean =>
  organisations === undefined || (org !== undefined && organisations.includes(org));

/** Selects the CAD of a request. Every call throws a Problem if none can be decided, or the caller may not use it. */
export interface Chooser {
  /** For a command, by its unit and incident. @param moved the last moves of its units; absent: as if there were none */
  forCommand(keys: readonly OrderingKey[], caller: Caller, moved?: ReadonlyMap<string, Move>): Promise<CadOfApi>;
  /** Checks a command with a CAD in its path: refused if its unit belongs to another one. */
  checkAddressed(cad: CadOfApi, keys: readonly OrderingKey[], moved?: ReadonlyMap<string, Move>): CadOfApi;
  /** Remembers the CAD as that of the incident, unless another one is. */
  remember(keys: readonly OrderingKey[], cad: string): Promise<void>;
  /** For a read, by its path and query; throws for a list that could be of several CADs. */
  forRead(path: string, query: URLSearchParams, caller: Caller): Promise<CadOfApi>;
}

export interface ChooserDeps {
  cads: readonly CadOfApi[];
  table: RoutingTable;
  incidents: Pick<Backend, "seenIn" | "rememberIncident">;
  moves: Pick<Moves, "of">;
  /** A monotonic clock, ms. */
  monotonic: () => number;
}

/** The ids of the units or incidents that a command is about. */
export const idsOf = (keys: readonly OrderingKey[], kind: "unit" | "incident"): string[] =>
  keys.filter((key) => key.startsWith(`${kind}:`)).map((key) => key.slice(kind.length + 1));

const undecided = (why: string, may: readonly CadOfApi[]): Problem =>
  new Problem("undecided-cad", `The request does not say which CAD it is for: ${why}.`, {
    cads: may.map(({ id, basePath }) => ({ cad: id, path: basePath })),
  });

/** The CAD whose state contains this unit or incident; undefined if none or several do. */
async function inState(kind: "unit" | "incident", id: string, of: readonly CadOfApi[]): Promise<string | undefined> {
  const records = await Promise.all(of.map(({ backend }) => backend.readState(kind, id)));
  const found = of.filter((_, i) => records[i] !== undefined);
  return found.length === 1 ? found[0]?.id : undefined;
}

export function createChooser({ cads, table, incidents, moves, monotonic }: ChooserDeps): Chooser {
  const byId = new Map(cads.map((cad) => [cad.id, cad]));
  const known = new BoundedMap<string, number>(KNOWN_INCIDENTS);

  const mayUse = (caller: Caller) => cads.filter((cad) => admits(cad, caller));

  /** The CAD of a unit: of one that moved to a CAD that is gone from the file, as the file says. */
  function ofUnit(unit: string, moved: ReadonlyMap<string, Move> | undefined): string | undefined {
    const home = table.ofUnit(unit);
    const place = placeOf(moved?.get(unit), home);
    return place !== undefined && byId.has(place) ? place : home;
  }

  async function remember(keys: readonly OrderingKey[], cad: string): Promise<void> {
    const [incident] = idsOf(keys, "incident");
    if (incident === undefined) return;
    const at = monotonic();
    const key = `${cad} ${incident}`;
    if (at - (known.get(key) ?? -Infinity) < KNOWN_MS) return;
    await incidents.rememberIncident(incident, cad);
    known.set(key, at);
  }

  /**
   * The CAD that first saw an incident, by a command or else by a CAD event, of those that the caller may use: a caller of
   * another organisation can neither claim the incident's id nor learn that it exists.
   */
  async function seenIn(incident: string, may: readonly CadOfApi[]): Promise<string | undefined> {
    const cad = await incidents.seenIn(incident);
    return may.some(({ id }) => id === cad) ? cad : await inState("incident", incident, may);
  }
  function allowed(id: string, caller: Caller): CadOfApi {
    const cad = byId.get(id);
    if (!cad || !admits(cad, caller))
      throw forbidden("wrong-org", "The token's org claim is not an organisation of the request's CAD.");
    return cad;
  }

  return {
    remember,

    async forCommand(keys, caller, moved) {
      const units = idsOf(keys, "unit");
      const [incident] = idsOf(keys, "incident");
      const incidentSeenIn =
        units.length === 0 && incident !== undefined ? await seenIn(incident, mayUse(caller)) : undefined;
      const places = { ...table, ofUnit: (unit: string) => ofUnit(unit, moved) };
      const decision = decide(places, { units, incidentSeenIn, organisation: caller.org });
      if ("undecided" in decision) throw undecided(decision.undecided, mayUse(caller));
      return allowed(decision.cad, caller);
    },

    checkAddressed(cad, keys, moved) {
      for (const unit of idsOf(keys, "unit")) {
        const owner = ofUnit(unit, moved);
        if (owner !== undefined && owner !== cad.id)
          throw new Problem("other-cad", `The unit belongs to the CAD ${owner}: there its commands keep their order.`, {
            cad: owner,
          });
      }
      return cad;
    },

    async forRead(path, query, caller) {
      const may = mayUse(caller);
      const [only] = may;
      if (!only) throw forbidden("wrong-org", "The token's org claim is not an organisation of any CAD.");
      if (may.length === 1) return only;
      const { command, about } = namedBy(path, query);
      if (command !== undefined) {
        const records = await Promise.all(may.map(({ backend }) => backend.read(command)));
        const found = may.find((_, i) => records[i] !== undefined);
        if (found) return found;
        throw noSuch("command", command, "; receipts are kept for a day after the command was settled");
      }
      const [unit] = idsOf(about, "unit");
      const [incident] = idsOf(about, "incident");
      let id: string | undefined;
      if (unit !== undefined) id = ofUnit(unit, await moves.of([unit])) ?? (await inState("unit", unit, may));
      else if (incident !== undefined) id = await seenIn(incident, may);
      if (id !== undefined) return allowed(id, caller);
      throw undecided(
        about.length > 0
          ? "the unit or incident is unknown to all CADs"
          : "a list would span all the CADs that the token may use",
        may,
      );
    },
  };
}

/** What a read names in its path or its query. */
function namedBy(path: string, query: URLSearchParams): { command?: string; about: OrderingKey[] } {
  const [, kind, encoded = ""] = /^\/(commands|units|incidents|queues)\/([^/]+)/.exec(path) ?? [];
  const id = decoded(encoded);
  if (kind === "commands") return { command: id, about: [] };
  if (kind === "units") return { about: [`unit:${id}`] };
  if (kind === "incidents") return { about: [incidentKey(id)] };
  if (kind === "queues") return { about: [id as OrderingKey] };
  const about = (["unit", "incident"] as const).flatMap((name) =>
    query.getAll(name).map((value): OrderingKey => `${name}:${value}`),
  );
  return { about };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
