import type { Redis } from "ioredis";
import type { Sealer } from "../../shared/sealing/seal.ts";
import type { Mark } from "../../shared/audit/chain.ts";
import { type AuditEntry, parseEntry, type StoredEntry } from "../../shared/audit/entry.ts";
import { auditKeys } from "../../shared/audit/keys.ts";
import { parseLink } from "../../shared/audit/link.ts";
import type { DeliveryOutcome } from "../../shared/destinations/outcome.ts";
import type { ReadOutcomes } from "../../shared/destinations/outcome-reader.ts";
import { readHandled } from "../../shared/journal/checkpoints.ts";
import { journalKeys } from "../../shared/journal/keys.ts";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import type { MessageRecord, Outbox } from "../../shared/outbox/outbox.ts";
import { outboxKeys } from "../../shared/redis/keys.ts";
import type { StateRecord } from "../../shared/state/read.ts";
import type { Micros } from "../../shared/util/time.ts";
import { incidentKey } from "../../shared/vocabulary/ordering-key.ts";
import { idTime, timeOfId } from "../../shared/redis/stream-id.ts";
import { scanPage } from "../../shared/util/scan-page.ts";
import type { EventCalls } from "./event-calls.ts";
import { readable } from "./readable.ts";

/** What is known of an incident from the audit trail, the outbox, the journal and the state, each in its order. */
export interface TimelineParts {
  /** `link`: its place in the hash chain; undefined while the worker has not chained it. */
  asked: { entry: AuditEntry; link: Mark | undefined; record: MessageRecord | undefined }[];
  events: { entry: JournalEntry; destinations: DeliveryOutcome[] }[];
  state: StateRecord | undefined;
  /** Up to where everything was looked at; undefined if that is the end of the range. */
  until: Micros | undefined;
}

export interface TimelineCalls {
  readTimeline(incident: string, since: Micros | undefined, until: Micros | undefined): Promise<TimelineParts>;
}

const CHUNK = 500;
/** How many entries of the audit trail, and of the journal, one request looks at, at most. */
const LOOK_AT = 20_000;
/** How many of each one timeline has, at most. */
const MOST = 500;
/** What was asked before the first that the CAD said of an incident: its creation, us. */
const BEFORE: Micros = 3_600_000_000;

const earliest = (state: StateRecord | undefined): Micros | undefined => {
  const times = Object.values(state?.aspects ?? {}).map(({ at }) => at);
  return times.length === 0 ? undefined : Math.min(...times) - BEFORE;
};

export function createTimelineCalls(
  redis: Redis,
  prefix: string,
  sealer: Sealer,
  events: Pick<EventCalls, "listEvents" | "readState">,
  outcomes: ReadOutcomes,
  read: Outbox["read"],
): TimelineCalls {
  const keys = auditKeys(outboxKeys(prefix).base);
  const journal = journalKeys(prefix);

  const receiptOf = readable(read);
  async function linkOf(id: string): Promise<Mark | undefined> {
    const [link] = await redis.xrange(keys.links, id, id);
    return link && parseLink(link);
  }

  /** The entries about the incident, the oldest first; `until`: where the looking ended, if that is before the end. */
  async function askedOf(incident: string, since: Micros | undefined, until: Micros | undefined) {
    const key = incidentKey(incident);
    const to = until === undefined ? "+" : idTime(until);
    const { found, next } = await scanPage({
      async read(last: string | undefined) {
        const from = last === undefined ? (since === undefined ? "-" : idTime(since)) : `(${last}`;
        const rows: StoredEntry[] = await redis.xrange(keys.entries, from, to, "COUNT", CHUNK);
        return { rows, more: rows.length === CHUNK };
      },
      match: (rows) =>
        rows.map((stored) => {
          const entry = parseEntry(stored);
          return entry?.about.includes(key) && entry.action.startsWith("POST ") ? entry : undefined;
        }),
      cursorOf: ([id]) => id,
      after: undefined,
      limit: MOST,
      lookAt: LOOK_AT,
    });
    return { found, until: next };
  }

  async function eventsOf(incident: string, since: Micros | undefined, until: Micros | undefined) {
    const found: JournalEntry[] = [];
    let after: string | undefined;
    for (let pages = 0; pages < LOOK_AT / 5000; pages += 1) {
      const filter = { incidents: [incident] };
      const page = await events.listEvents({ filter, limit: MOST, first: "oldest", since, until, after });
      if (page.outcome === "gone") return { found, until: after };
      found.push(...page.entries);
      if (page.next === undefined) return { found, until: undefined };
      after = page.next;
      if (found.length >= MOST) break;
    }
    return { found: found.slice(0, MOST), until: found[MOST]?.id ?? after };
  }

  return {
    async readTimeline(incident, since, until) {
      const state = await events.readState("incident", incident);
      const from = since ?? earliest(state);
      const [asked, listed] = await Promise.all([askedOf(incident, from, until), eventsOf(incident, from, until)]);
      const handled = await Promise.all(listed.found.map(({ id }) => readHandled(redis, journal, sealer, id)));
      const destinations = await outcomes(listed.found.map((entry, i) => ({ entry, handled: handled[i] ?? [] })));
      const ends = [asked.until, listed.until].flatMap((id) => (id === undefined ? [] : [timeOfId(id)]));
      return {
        asked: await Promise.all(
          asked.found.map(async (entry) => ({
            entry,
            link: await linkOf(entry.id),
            record: entry.command === "" ? undefined : await receiptOf(entry.command),
          })),
        ),
        events: listed.found.map((entry, i) => ({ entry, destinations: destinations[i] ?? [] })),
        state,
        until: ends.length === 0 ? undefined : Math.min(...ends),
      };
    },
  };
}
