import { createContext, Script } from "node:vm";
import { Environment } from "@marcbachmann/cel-js";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import { HandlerError } from "../events/handlers/handler.ts";

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

/** What may take without end for some payload: a pattern, and what goes through a list. */
const MAY_TAKE_LONG = /\b(matches|all|exists|exists_one|map|filter|bind)\s*\(/;
/** How long that may take, ms. */
const LIMIT_MS = 100;

/** A filter did not come to an end: that says neither yes nor no. */
export class FilterTooSlow extends HandlerError {
  override name = "FilterTooSlow";
}

/** Runs it, and stops it when its time is up: only V8 itself can, which costs 0.1 ms. */
function createLimit(): (run: () => unknown) => unknown {
  const context: { run?: () => unknown } = {};
  createContext(context);
  const script = new Script("run()");
  return (run) => {
    context.run = run;
    try {
      return script.runInContext(context, { timeout: LIMIT_MS }) as unknown;
    } catch (error) {
      if ((error as { code?: string }).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
      throw new FilterTooSlow(`a filter took longer than ${LIMIT_MS} ms`);
    }
  };
}

/**
 * Compiles a filter in CEL (the Common Expression Language): an error's message says what is wrong with it. The compiled
 * filter throws where it cannot be evaluated, such as for a field that the payload lacks.
 */
export function compileFilter(expression: string): { filter: Filter } | { error: string } {
  const checked = environment.check(expression);
  if (!checked.valid) return { error: (checked.error?.message ?? "it cannot be read").split("\n", 1)[0] ?? "" };
  if (checked.type !== "bool" && checked.type !== "dyn") return { error: `it says ${checked.type}, not true or false` };
  const evaluate = environment.parse(expression);
  const limited = MAY_TAKE_LONG.test(expression) ? createLimit() : (run: () => unknown) => run();
  return {
    filter(entry) {
      const matches = limited(() =>
        evaluate({
          event: entry.event,
          payload: entry.payload,
          unit: idIn(entry, "unit"),
          incident: idIn(entry, "incident"),
          own_command: entry.own ?? null,
          recovered: entry.recovered ?? null,
        }),
      );
      if (typeof matches !== "boolean") throw new NotTrueOrFalse("the filter said neither true nor false");
      return matches;
    },
  };
}
