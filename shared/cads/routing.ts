import { contains, isExact, matches } from "./pattern.ts";
import type { Owns } from "./schema.ts";

/** Which CAD a unit or an organisation belongs to. A pure table: what was seen of incidents is handed to `decide`. */
export interface RoutingTable {
  /** The CAD that owns the unit by its narrowest pattern; undefined if no pattern names it. */
  ofUnit(unit: string): string | undefined;
  /** The CAD of an organisation; undefined if there is none, or several. */
  ofOrganisation(organisation: string): string | undefined;
  /** The CAD that owns everything that no other one does. */
  readonly everything: string | undefined;
}

/** What a request is about, as far as it decides. */
export interface About {
  units: readonly string[];
  /** The CAD in which its incident was first seen. */
  incidentSeenIn: string | undefined;
  organisation: string | undefined;
}

/** `by`: what decided. */
export type Decision = { cad: string; by: "unit" | "incident" | "organisation" | "everything" } | { undecided: string };

export function createRoutingTable(cads: readonly { id: string; owns: Owns }[]): RoutingTable {
  const patterns = cads.flatMap(({ id, owns }) =>
    owns === "everything" ? [] : (owns.units ?? []).map((pattern) => ({ id, pattern })),
  );
  const exact = new Map(patterns.filter(({ pattern }) => isExact(pattern)).map(({ id, pattern }) => [pattern, id]));
  const wild = patterns.filter(({ pattern }) => !isExact(pattern));
  const organisations = new Map<string, string | undefined>();
  for (const { id, owns } of cads)
    for (const name of owns === "everything" ? [] : (owns.organisations ?? []))
      organisations.set(name, organisations.has(name) && organisations.get(name) !== id ? undefined : id);

  return {
    ofUnit(unit) {
      const one = exact.get(unit);
      if (one !== undefined) return one;
      const fitting = wild.filter(({ pattern }) => matches(pattern, unit));
      // Patterns of two CADs that share a unit lie one within the other: check.ts refuses any others.
      return fitting.find(({ pattern, id }) =>
        fitting.every((other) => other.id === id || !contains(pattern, other.pattern)),
      )?.id;
    },
    ofOrganisation: (organisation) => organisations.get(organisation),
    everything: cads.find(({ owns }) => owns === "everything")?.id,
  };
}

/**
 * The CAD that a request goes to. A unit decides alone: its commands keep their order in one CAD only. Without a unit, the CAD in
 * which the incident was first seen; else the one of the token's organisation; else the one that owns everything.
 */
export function decide(table: RoutingTable, { units, incidentSeenIn, organisation }: About): Decision {
  const owners = new Set(units.map((unit) => table.ofUnit(unit)).filter((cad) => cad !== undefined));
  if (owners.size > 1) return { undecided: "its units belong to several CADs" };
  const [owner] = owners;
  if (owner !== undefined) return { cad: owner, by: "unit" };
  if (units.length === 0 && incidentSeenIn !== undefined) return { cad: incidentSeenIn, by: "incident" };
  const ofOrganisation = organisation === undefined ? undefined : table.ofOrganisation(organisation);
  if (ofOrganisation !== undefined) return { cad: ofOrganisation, by: "organisation" };
  if (table.everything !== undefined) return { cad: table.everything, by: "everything" };
  return {
    undecided:
      units.length > 0
        ? "no CAD owns its unit, and the token's organisation names none"
        : "it names no unit, its incident was not seen in any CAD before, and the token's organisation names none",
  };
}
