import { ConfigError } from "../../shared/config/config.ts";

/** The CAD of the file that --cad names; without it all of them. Throws a ConfigError. */
export function chosenCads<Cad extends { id: string }>(cads: readonly Cad[], id: string | undefined): readonly Cad[] {
  const chosen = cads.filter((cad) => id === undefined || cad.id === id);
  if (chosen.length === 0) throw new ConfigError([`--cad: CADS_FILE has no CAD ${id}; it has ${namesOf(cads)}`]);
  return chosen;
}

/** The same for what is done of one CAD at a time. */
export function chosenCad<Cad extends { id: string }>(cads: readonly Cad[], id: string | undefined): Cad {
  const [only, ...more] = chosenCads(cads, id);
  if (only && more.length === 0) return only;
  throw new ConfigError([`CADS_FILE: has several CADs: name one of ${namesOf(cads)} with --cad`]);
}

const namesOf = (cads: readonly { id: string }[]): string => cads.map(({ id }) => id).join(", ");

/** Without CADS_FILE there is one CAD, which has no name. */
export function refuseCad(id: string | undefined): void {
  if (id !== undefined) throw new ConfigError(["--cad: there is no CADS_FILE: leave it out"]);
}
