import { marksOf } from "../../shared/events/event.ts";
import { REPLAY_EVENT, replayResponse } from "../../shared/events/replay.ts";
import { type Micros, toIso } from "../../shared/util/time.ts";
import type { Line } from "../cad/line.ts";

/** How many events are asked for at once, and how many pages of them one recovery takes at most. */
const PAGE = 500;
const MAX_PAGES = 400;
/** How long the first answer may take, and those of a CAD that is known to answer; and all of them together, ms. */
const FIRST_ANSWER_MS = 2000;
const ANSWER_MS = 10_000;
const REPLAY_MS = 60_000;

export interface Replayed {
  event: string;
  payload: unknown;
}

/** A stretch of time of which events may be missing; `to` left out: until the line was made. */
export interface Missing {
  from: Micros;
  to?: Micros;
  reason: string;
}

/**
 * Asks the CAD for what it sent since a time, page by page, and hands each page over; answers with what may be missing all the
 * same, undefined if nothing is. Throws only what `take` throws, and if the line ends.
 *
 * @param heard until when everything is known; `since`, what the CAD is asked for, is earlier: clocks differ
 */
export async function replay(options: {
  line: Line;
  heard: Micros;
  since: Micros;
  take(events: readonly Replayed[]): Promise<void>;
}): Promise<Missing | undefined> {
  const { line, heard, since, take } = options;
  const until = performance.now() + REPLAY_MS;
  let after: string | undefined;
  let missing: Missing | undefined;
  let from = heard;
  for (let page = 1; page <= MAX_PAGES && performance.now() < until; page += 1) {
    const asked = { since: toIso(since), limit: PAGE, ...(after !== undefined && { after }) };
    const said = await line.ask(REPLAY_EVENT, asked, page === 1 ? FIRST_ANSWER_MS : ANSWER_MS).catch(() => undefined);
    if (line.ended.aborted) throw new Error("the line ended");
    if (said === undefined) return { from: missing?.from ?? from, reason: "the CAD does not answer events:replay" };
    const { data } = replayResponse.safeParse(said);
    if (!data) return { from: missing?.from ?? from, reason: reasonOf(said) };
    if (!data.complete && !remembers(data.from, heard))
      missing ??= { from: heard, ...limitOf(data.from, heard), reason: "the CAD does not remember it" };
    await take(data.events);
    const last = marksOf(data.events.at(-1)?.payload);
    if (!data.more) return missing;
    if (last.eventId === undefined || last.eventId === after) break;
    after = last.eventId;
    const reached = Date.parse(last.occurredAt ?? "") * 1000;
    if (reached > from) from = reached;
  }
  return { from: missing?.from ?? from, reason: "there is more than the CAD could send again in time" };
}

/** What was missed came after `heard`: that the CAD has forgotten what was before it is no loss. */
const remembers = (from: string | undefined, heard: Micros): boolean =>
  from !== undefined && Date.parse(from) * 1000 <= heard;

/** The CAD's memory begins there; at its own word, but not before what is known. */
function limitOf(from: string | undefined, heard: Micros): { to?: Micros } {
  return from === undefined ? {} : { to: Math.max(heard, Date.parse(from) * 1000) };
}

const reasonOf = (said: unknown): string =>
  (said as { success?: unknown } | null)?.success === false
    ? "the CAD refuses events:replay"
    : "the CAD's answer to events:replay cannot be used";
