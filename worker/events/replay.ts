import { marksOf } from "../../shared/events/event.ts";
import { REPLAY_EVENT, replayResponse } from "../../shared/events/replay.ts";
import { type Micros, toIso } from "../../shared/util/time.ts";
import type { OpenConnection } from "../cad/open-connection.ts";

/** Number of events per page, and maximum number of pages of one recovery. */
const PAGE = 500;
const MAX_PAGES = 400;
/** Time limits, ms: for the first answer, for each further one, and for all of them together. */
const FIRST_ANSWER_MS = 2000;
const ANSWER_MS = 10_000;
const REPLAY_MS = 60_000;

export interface Replayed {
  event: string;
  payload: unknown;
}

/** A time span of which events may be missing; without `to`, until the connection was opened. */
export interface Missing {
  from: Micros;
  to?: Micros;
  reason: string;
}

/**
 * Requests what the CAD sent since a time, page by page, and passes each page on; returns what may still be missing, undefined
 * if nothing is. Throws only what `take` throws, and if the connection ends.
 *
 * @param knownUntil until when everything is known; `since`, what the CAD is asked for, is earlier: clocks differ
 */
export async function replay(options: {
  connection: OpenConnection;
  knownUntil: Micros;
  since: Micros;
  take(events: readonly Replayed[]): Promise<void>;
}): Promise<Missing | undefined> {
  const { connection, knownUntil, since, take } = options;
  const until = performance.now() + REPLAY_MS;
  let after: string | undefined;
  let missing: Missing | undefined;
  let from = knownUntil;
  for (let page = 1; page <= MAX_PAGES && performance.now() < until; page += 1) {
    const asked = { since: toIso(since), limit: PAGE, ...(after !== undefined && { after }) };
    const response = await connection
      .ask(REPLAY_EVENT, asked, page === 1 ? FIRST_ANSWER_MS : ANSWER_MS)
      .catch(() => undefined);
    if (connection.ended.aborted) throw new Error("the connection ended");
    if (response === undefined) return { from: missing?.from ?? from, reason: "the CAD does not answer events:replay" };
    const { data } = replayResponse.safeParse(response);
    if (!data) return { from: missing?.from ?? from, reason: reasonOf(response) };
    if (!data.complete && !remembers(data.from, knownUntil))
      missing ??= { from: knownUntil, ...limitOf(data.from, knownUntil), reason: "the CAD does not remember it" };
    await take(data.events);
    const last = marksOf(data.events.at(-1)?.payload);
    if (!data.more) return missing;
    if (last.eventId === undefined || last.eventId === after) break;
    after = last.eventId;
    const reached = Date.parse(last.occurredAt ?? "") * 1000;
    if (reached > from) from = reached;
  }
  return { from: missing?.from ?? from, reason: "the CAD could not replay everything in time" };
}

/** What was missed came after `knownUntil`: that the CAD forgot what was before it is no loss. */
const remembers = (from: string | undefined, knownUntil: Micros): boolean =>
  from !== undefined && Date.parse(from) * 1000 <= knownUntil;

/** The CAD's memory begins there, as it reports, but not before what is known. */
function limitOf(from: string | undefined, knownUntil: Micros): { to?: Micros } {
  return from === undefined ? {} : { to: Math.max(knownUntil, Date.parse(from) * 1000) };
}

const reasonOf = (response: unknown): string =>
  (response as { success?: unknown } | null)?.success === false
    ? "the CAD refuses events:replay"
    : "the CAD's answer to events:replay cannot be used";
