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
import { entryOf } from "../../shared/destinations/replay.ts";
import type { Replay } from "./replay.ts";
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
  /** Called for a filter that could not be evaluated. */
  onFilterError(error: unknown): void;
  /** What is sent again; none where nothing ever is. */
  replay?: Pick<Replay, "messageFor" | "planned" | "declined">;
  /** Notes that a dead letter is sent again by that message, if it is one. */
  redriven?(entry: string, as: string): Promise<void>;
}

/** Chooses what a destination gets. */
export interface Chooser {
  /**
   * The rule by which an entry goes out, the first that matches; else why its filters reject it. A filter that cannot be evaluated rejects it;
   * throws if one takes too long.
   */
  ruleFor(entry: JournalEntry): { rule?: Rule; declined: string[] };
}

export function createChooser({
  destination,
  onFilterError,
}: Pick<ToDestinationOptions, "destination" | "onFilterError">): Chooser {
  return {
    ruleFor(entry) {
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
          onFilterError(error);
          declined.push(`the filter of ${rule.at} cannot tell`);
        }
      }
      return { declined };
    },
  };
}

/**
 * Puts what is for a destination into its outbox. An entry's id is the message's id too, so that an entry that comes again, after
 * a crash, is no second message.
 */
export function toDestination(options: ToDestinationOptions): Handler {
  const { outbox, sealer, source, replay } = options;
  const { ruleFor } = createChooser(options);

  async function send(entry: JournalEntry, rule: Rule, id: string): Promise<Declined | void> {
    const { event, keys, payload } = entry;
    const once = rule.once && onceKey(event, payload, rule.once);
    const data = rule.fields ? pick(payload, rule.fields) : payload;
    const message = {
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
    } as const;
    // An unkeyed hash of a name could be found by trying a dictionary.
    let appended = await outbox.append({
      ...message,
      ...(once !== undefined && { once: sealer.fingerprints(`once ${once}`) }),
    });
    // That an event went out before is what a replay is about; that another went out for the same values is not.
    if (appended.outcome === "once" && id !== entry.id && entryOf(appended.id) === entry.id)
      appended = await outbox.append(message);
    // Nothing of the entry's fault: it waits in the journal until there is room.
    if (appended.outcome === "full") throw new RedisFault("full");
    if (appended.outcome === "accepted" && appended.runnable) options.onRunnable(id);
    if (appended.outcome === "once" && appended.id !== id)
      return { declined: `${rule.at} sends one event for these values: ${appended.id}` };
  }

  /** Sends it again, as far as it is sent at all. */
  async function sendAgain(entry: JournalEntry, rule: Rule, id: string): Promise<void> {
    if (await send(entry, rule, id)) return replay?.declined(entry.id);
    await options.redriven?.(entry.id, id);
  }

  return {
    name: handlerOf(options.destination.id),
    what: `what the routes have for ${options.destination.id}, into its outbox`,
    plan(entry) {
      const again = replay?.messageFor(entry);
      if (again === null) return undefined;
      const { rule, declined } = ruleFor(entry);
      if (again !== undefined) {
        if (!rule) return undefined;
        replay?.planned(entry.id);
        return () => sendAgain(entry, rule, again);
      }
      if (rule) return () => send(entry, rule, entry.id);
      return declined.length > 0 ? { declined: declined.slice(0, MAX_REASONS).join("; ") } : undefined;
    },
  };
}
