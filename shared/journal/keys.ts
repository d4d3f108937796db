/** The Redis key names of the journal; FORMAT.md describes them. */
export interface JournalKeys {
  /** Base name of the CAD backend, with the lease and the leader. */
  cad: string;
  journal: string;
  channel: string;
  heard: string;
  gaps: string;
  cursors: string;
  /** The handlers' results for one entry. */
  handled(entry: string): string;
  /** The state of a unit or an incident (`unit:M12`), and the list of all of one kind. */
  state(about: string): string;
  all(kind: "unit" | "incident"): string;
}

/** @param prefix REDIS_PREFIX */
export function journalKeys(prefix: string): JournalKeys {
  const cad = `{${prefix}}:cad`;
  return {
    cad,
    journal: `${cad}:journal`,
    channel: `${cad}:journalled`,
    heard: `${cad}:heard`,
    gaps: `${cad}:gaps`,
    cursors: `${cad}:cursors`,
    handled: (entry) => `${cad}:handled:${entry}`,
    state: (about) => `${cad}:state:${about}`,
    all: (kind) => `${cad}:all:${kind}`,
  };
}
