import type { JournalEntry } from "../../shared/journal/entry.ts";
import { entryWanted, type RuleSummary } from "../../shared/destinations/rules.ts";
import type { Filter } from "./filter.ts";

/** Which of the CAD's events a destination gets, and how much of each. */
export interface Rule extends RuleSummary {
  filter: Filter | undefined;
  /** The only fields of the payload that go out; all of it if undefined. */
  fields: readonly string[] | undefined;
  /** Of the events with the same values in these fields, only the first goes out. */
  once: readonly string[] | undefined;
}

/**
 * True for what the rule sends out. A payload that did not parse is never sent: no service could rely on what is in it. It stays
 * in the journal. Throws what the filter throws.
 */
export const matches = (rule: Rule, entry: JournalEntry): boolean =>
  entryWanted(entry, [rule]).wanted && (rule.filter?.(entry) ?? true);

const own = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;

const valueOf = (payload: unknown, path: string): unknown => path.split(".").reduce(own, payload);

/** The payload with nothing but the fields of these dotted paths; what it lacks is left out. */
export function pick(payload: unknown, fields: readonly string[]): Record<string, unknown> {
  const picked: Record<string, unknown> = {};
  for (const path of fields) {
    const value = valueOf(payload, path);
    if (value === undefined) continue;
    const steps = path.split(".");
    const last = steps.pop() ?? "";
    let at = picked;
    for (const step of steps) {
      const inner = own(at, step);
      const next = typeof inner === "object" && inner !== null ? { ...inner } : {};
      at[step] = next;
      at = next;
    }
    at[last] = value;
  }
  return picked;
}

/**
 * What is the same for events of which a rule sends one only: the event and the values of the fields. An id may have become a
 * number on its way, and a field that is missing or null has no value. Undefined if none has: such events are not the same.
 */
export function onceKey(event: string, payload: unknown, fields: readonly string[]): string | undefined {
  const values = fields.map((path) => {
    const value = valueOf(payload, path) ?? null;
    return [path, typeof value === "number" ? String(value) : value];
  });
  if (values.every(([, value]) => value === null)) return undefined;
  return JSON.stringify([event, values]);
}
