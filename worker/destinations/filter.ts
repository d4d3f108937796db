import { Environment } from "@marcbachmann/cel-js";
import type { JournalEntry } from "../../shared/journal/entry.ts";

/** What a filter may ask about. */
const environment = new Environment({ homogeneousAggregateLiterals: false, enableOptionalTypes: true })
  .registerVariable("event", "string")
  .registerVariable("payload", "dyn")
  .registerVariable("unit", "dyn")
  .registerVariable("incident", "dyn")
  .registerVariable("own_command", "dyn")
  .registerVariable("recovered", "dyn");

export type Filter = (entry: JournalEntry) => boolean;

const idIn = (entry: JournalEntry, kind: "unit" | "incident") =>
  entry.keys.find((key) => key.startsWith(`${kind}:`))?.slice(kind.length + 1) ?? null;

/** What a filter says where it cannot say true or false. */
class NotTrueOrFalse extends Error {
  override name = "NotTrueOrFalse";
}

/**
 * Compiles a filter in CEL (the Common Expression Language): an error's message says what is wrong with it. The compiled
 * filter throws where it cannot tell, such as for a field that the payload lacks.
 */
export function compileFilter(expression: string): { filter: Filter } | { error: string } {
  const checked = environment.check(expression);
  if (!checked.valid) return { error: (checked.error?.message ?? "it cannot be read").split("\n", 1)[0] ?? "" };
  if (checked.type !== "bool" && checked.type !== "dyn") return { error: `it says ${checked.type}, not true or false` };
  const evaluate = environment.parse(expression);
  return {
    filter(entry) {
      const said: unknown = evaluate({
        event: entry.event,
        payload: entry.payload,
        unit: idIn(entry, "unit"),
        incident: idIn(entry, "incident"),
        own_command: entry.own ?? null,
        recovered: entry.recovered ?? null,
      });
      if (typeof said !== "boolean") throw new NotTrueOrFalse("the filter said neither true nor false");
      return said;
    },
  };
}
