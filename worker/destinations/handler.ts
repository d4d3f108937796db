import type { JournalEntry } from "../../shared/journal/entry.ts";
import type { Outbox } from "../../shared/outbox/outbox.ts";
import { classify } from "../../shared/events/contract.ts";
import { RedisFault } from "../../shared/redis/fault.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import type { Declined, Handler } from "../events/handlers/handler.ts";
import { toCloudEvent } from "./cloud-event.ts";
import { FilterTooSlow } from "./filter.ts";
import type { Destination } from "./routes.ts";
import { handlerOf } from "../../shared/destinations/outcome-reader.ts";
import { entryWanted } from "../../shared/destinations/rules.ts";
import { onceKey, pick, type Rule } from "./rule.ts";

/** How many rules are named, of those whose filters declined an entry. */
const MAX_REASONS = 5;

export interface ToDestinationOptions {
  destination: Pick<Destination, "id" | "phi" | "rules">;
  outbox: Pick<Outbox, "append">;
  sealer: Sealer;
  /** The source of its events. */
  source: string;
  /** It can be sent now. */
  onRunnable(id: string): void;
  /** A filter could not tell. */
  onFilterError(error: unknown): void;
}

/**
 * Puts what is for a destination into its outbox. An entry's id is the message's id too, so that an entry that comes again, after
 * a crash, is no second message.
 */
export function toDestination(options: ToDestinationOptions): Handler {
  const { destination, outbox, sealer, source } = options;

  /**
   * The rule by which it goes out, the first that matches; else why its filters say no. A filter that cannot tell says no;
   * throws if one takes too long.
   */
  function ruleFor(entry: JournalEntry): { rule?: Rule; declined: string[] } {
    const declined: string[] = [];
    for (const rule of destination.rules) {
      if (!entryWanted(entry, [rule]).wanted) continue;
      // The start refuses rules that name such events; a pattern also fits events that are in no table.
      if (!destination.phi && classify(entry.event, rule.fields) === "phi") {
        declined.push(`${rule.at} may send PHI, for which the destination is not cleared`);
        continue;
      }
      try {
        if (rule.filter?.(entry) ?? true) return { rule, declined };
        declined.push(`the filter of ${rule.at} says no`);
      } catch (error) {
        if (error instanceof FilterTooSlow) throw error;
        options.onFilterError(error);
        declined.push(`the filter of ${rule.at} cannot tell`);
      }
    }
    return { declined };
  }

  async function send(entry: JournalEntry, rule: Rule): Promise<Declined | void> {
    const { id, event, keys, payload } = entry;
    const once = rule.once && onceKey(event, payload, rule.once);
    const data = rule.fields ? pick(payload, rule.fields) : payload;
    const appended = await outbox.append({
      id,
      kind: event,
      keys,
      body: await sealer.seal("webhook", id, toCloudEvent(entry, source, data, rule.fields)),
      user: "bridge",
      role: "admin",
      fingerprints: [id],
      latestWins: false,
      ttlSeconds: undefined,
      idempotencyKey: undefined,
      // A hash that anybody could make would tell a name to whoever tries a dictionary.
      ...(once !== undefined && { once: sealer.fingerprints(`once ${once}`) }),
    });
    // Nothing of the entry's fault: it waits in the journal until there is room.
    if (appended.outcome === "full") throw new RedisFault("full");
    if (appended.outcome === "accepted" && appended.runnable) options.onRunnable(id);
    if (appended.outcome === "once" && appended.id !== id)
      return { declined: `${rule.at} sends one event for these values: ${appended.id}` };
  }

  return {
    name: handlerOf(destination.id),
    what: `what the routes have for ${destination.id}, into its outbox`,
    plan(entry) {
      const { rule, declined } = ruleFor(entry);
      if (rule) return () => send(entry, rule);
      return declined.length > 0 ? { declined: declined.slice(0, MAX_REASONS).join("; ") } : undefined;
    },
  };
}
