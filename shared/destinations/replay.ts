import { z } from "zod";

/** A request to send a destination's events again, from a time or an event on. */
export const replayRequest = z.object({
  id: z.string(),
  /** The id of a journal entry, or a time (ISO 8601). */
  from: z.string(),
  /** Names of events; `*` matches any part of a name. */
  events: z.array(z.string()).optional(),
  /** In CEL, as in a rule. It may contain an incident's id, so it is stored sealed and is in no heartbeat. */
  filter: z.string().optional(),
  /** Only counts the events. */
  dryRun: z.boolean(),
  askedAt: z.number(),
});
export type ReplayRequest = z.infer<typeof replayRequest>;

/** The states of a replay; the transitions are in worker/destinations/replay-state.ts. */
export const REPLAY_STATES = ["counting", "starting", "running", "done", "counted", "refused"] as const;
export const isOver = (state: (typeof REPLAY_STATES)[number]): boolean =>
  state === "done" || state === "counted" || state === "refused";

/** Why a replay is refused. */
export const REPLAY_REFUSALS = ["gone", "unknown-event", "bad-filter", "too-many", "unreadable"] as const;

const found = z.object({
  count: z.int(),
  /** Ids of journal entries; null if there are none. */
  first: z.string().nullable(),
  last: z.string().nullable(),
  /** Number of each event. */
  events: z.record(z.string(), z.int()),
});
export type ReplayFound = z.infer<typeof found>;
export const NOTHING_FOUND: ReplayFound = { count: 0, first: null, last: null, events: {} };

/** The state of a replay as the worker stores it: enough for the next worker to continue it. */
export const replayStatus = z.object({
  request: replayRequest,
  state: z.enum(REPLAY_STATES),
  refusal: z.object({ code: z.enum(REPLAY_REFUSALS), reason: z.string(), oldest: z.string().nullable() }).nullable(),
  found,
  /** The last entry of the replay; later ones are sent normally. */
  until: z.string().nullable(),
  /** The last entry that is in the outbox. */
  position: z.string().nullable(),
  /** Number of those entries. */
  queued: z.int(),
  /** Earlier replays: their waiting messages are sent only once. */
  before: z.array(z.string()),
  startedAt: z.number().nullable(),
  endedAt: z.number().nullable(),
});
export type ReplayStatus = z.infer<typeof replayStatus>;

/** A new replay. @param before the earlier replays */
export const beginReplay = (request: ReplayRequest, before: readonly string[] = []): ReplayStatus => ({
  ...{ request, state: "counting", refusal: null, found: NOTHING_FOUND, until: null, position: null, queued: 0 },
  ...{ before: [...before], startedAt: null, endedAt: null },
});

/** The id of the message that sends an entry again. */
export const replayedAs = (entry: string, replay: string): string => `${entry}~${replay}`;
/** The entry of a message, replayed or not. */
export const entryOf = (message: string): string => message.split("~", 1)[0] ?? message;
