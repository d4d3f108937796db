import { z } from "zod";

/** What somebody asked for: to send the events of a destination again, from a time or an event on. */
export const replayRequest = z.object({
  id: z.string(),
  /** The id of a journal entry, or a time (ISO 8601). */
  from: z.string(),
  /** Names of events, with `*` for any part of one. */
  events: z.array(z.string()).optional(),
  /** In CEL, as in a rule. It may hold an id of an incident: it is stored sealed, and in no heartbeat. */
  filter: z.string().optional(),
  /** Only counts. */
  dryRun: z.boolean(),
  askedAt: z.number(),
});
export type ReplayRequest = z.infer<typeof replayRequest>;

/** The states of a replay; what leads from one to the next is in worker/destinations/replay-state.ts. */
export const REPLAY_STATES = ["counting", "starting", "running", "done", "counted", "refused"] as const;
export const isOver = (state: (typeof REPLAY_STATES)[number]): boolean =>
  state === "done" || state === "counted" || state === "refused";

/** Why a replay is refused. */
export const REPLAY_REFUSALS = ["gone", "unknown-event", "bad-filter", "too-many", "unreadable"] as const;

const found = z.object({
  count: z.int(),
  /** Ids of journal entries; null if there is none. */
  first: z.string().nullable(),
  last: z.string().nullable(),
  /** How many of each event. */
  events: z.record(z.string(), z.int()),
});
export type ReplayFound = z.infer<typeof found>;
export const NOTHING_FOUND: ReplayFound = { count: 0, first: null, last: null, events: {} };

/** How a replay is, as the worker keeps it: enough for the next worker to go on with it. */
export const replayStatus = z.object({
  request: replayRequest,
  state: z.enum(REPLAY_STATES),
  refusal: z.object({ code: z.enum(REPLAY_REFUSALS), reason: z.string(), oldest: z.string().nullable() }).nullable(),
  found,
  /** The last entry that the replay sends again: what follows is sent by the live flow. */
  until: z.string().nullable(),
  /** Everything up to this entry is in the outbox. */
  position: z.string().nullable(),
  /** How many that is. */
  queued: z.int(),
  /** The replays before it: what of them still waits is sent once. */
  before: z.array(z.string()),
  startedAt: z.number().nullable(),
  endedAt: z.number().nullable(),
});
export type ReplayStatus = z.infer<typeof replayStatus>;

/** A replay as it begins. @param before the replays before it */
export const beginReplay = (request: ReplayRequest, before: readonly string[] = []): ReplayStatus => ({
  ...{ request, state: "counting", refusal: null, found: NOTHING_FOUND, until: null, position: null, queued: 0 },
  ...{ before: [...before], startedAt: null, endedAt: null },
});

/** The id of the message that sends an entry again. */
export const replayedAs = (entry: string, replay: string): string => `${entry}~${replay}`;
/** The entry of a message, whether it was replayed or not. */
export const entryOf = (message: string): string => message.split("~", 1)[0] ?? message;
