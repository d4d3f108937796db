import { unitKey, incidentKey } from "../vocabulary/ordering-key.ts";
import { BRIDGE_EVENTS, type EntryKind, type JournalEntry } from "./entry.ts";

/** Selects entries: those that match one item of each given list. */
export interface EntryFilter {
  /** Names of events; `*` matches any characters. */
  events?: readonly string[] | undefined;
  units?: readonly string[] | undefined;
  incidents?: readonly string[] | undefined;
  kinds?: readonly EntryKind[] | undefined;
  /** Only echoes of the bridge's own commands, or only other entries. */
  own?: boolean | undefined;
}

/** The fields a filter compares, all stored unencrypted. */
export type FilteredEntry = Pick<JournalEntry, "event" | "keys" | "kind" | "own">;

const fits = <T>(wanted: readonly T[] | undefined, fit: (one: T) => boolean): boolean =>
  wanted === undefined || wanted.some(fit);

export function entryMatches(entry: FilteredEntry, filter: EntryFilter): boolean {
  const about = new Set(entry.keys);
  // The missing events may have concerned any of them.
  const aboutAll = entry.event === BRIDGE_EVENTS.gap;
  return (
    fits(filter.events, (pattern) => nameMatches(entry.event, pattern)) &&
    fits(filter.units, (id) => aboutAll || about.has(unitKey(id))) &&
    fits(filter.incidents, (id) => aboutAll || about.has(incidentKey(id))) &&
    fits(filter.kinds, (kind) => entry.kind === kind) &&
    (filter.own === undefined || filter.own === (entry.own !== undefined))
  );
}

/** Whether a name matches a pattern in which `*` matches any characters. Takes time proportional to both. */
export function nameMatches(name: string, pattern: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first)) return false;
  let from = first.length;
  for (const part of rest) {
    const at = name.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return name.length - last.length >= from && name.endsWith(last);
}
