import { z } from "zod";
import type { JournalEntry } from "../journal/entry.ts";
import { nameMatches } from "../journal/filter.ts";

/** What is known of a rule without evaluating its filter. */
export const ruleSummary = z.object({
  /** Its place in the routes file, such as `rules[1]`. */
  at: z.string(),
  /** Names of events; `*` matches any part of a name. */
  events: z.array(z.string()).readonly(),
  /** Whether it includes echoes of the bridge's own commands. */
  ownEchoes: z.boolean(),
});
export type RuleSummary = z.infer<typeof ruleSummary>;

type RuleSubject = Pick<JournalEntry, "event" | "kind" | "own">;

/** Whether rules match an entry, ignoring filters, and if none does, why. */
export function entryWanted(
  entry: RuleSubject,
  rules: readonly RuleSummary[],
): { wanted: true } | { wanted: false; why: string } {
  if (entry.kind === "malformed") return { wanted: false, why: "its payload does not parse: it is sent to nobody" };
  const named = rules.filter(({ events }) => events.some((pattern) => nameMatches(entry.event, pattern)));
  if (named.length === 0) return { wanted: false, why: "no rule names this event" };
  if (named.some((rule) => takesOrigin(rule, entry))) return { wanted: true };
  return { wanted: false, why: `${named.map(({ at }) => at).join(", ")}: takes no echo of the bridge's own commands` };
}

/** Whether the rule includes own echoes, or this is not one. */
const takesOrigin = ({ ownEchoes }: RuleSummary, { own }: RuleSubject): boolean => own === undefined || ownEchoes;
