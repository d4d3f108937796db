import { expect, test } from "vitest";
import { beginReplay, NOTHING_FOUND, REPLAY_STATES, type ReplayStatus } from "../../shared/destinations/replay.ts";
import { nextReplay, type ReplayEvent } from "../../worker/destinations/replay-state.ts";

const FOUND = { count: 2, first: "1-0", last: "2-0", events: { "unit:status:updated": 2 } };
const REFUSAL = { code: "gone", reason: "it is gone", oldest: "5-0" } as const;
const NOW = 1000;

const EVENTS = {
  counted: { type: "counted", found: FOUND },
  "counted none": { type: "counted", found: NOTHING_FOUND },
  refused: { type: "refused", refusal: REFUSAL },
  joined: { type: "joined", until: "9-0", position: "0-9" },
  noted: { type: "noted", position: "1-0", queued: 1, over: false },
  "noted the last": { type: "noted", position: "9-0", queued: 2, over: true },
} as const satisfies Record<string, ReplayEvent>;

const replay = (state: ReplayStatus["state"], dryRun = false): ReplayStatus => ({
  ...beginReplay({ id: "r", from: "1-0", dryRun, askedAt: 0 }),
  state,
});

/** Every transition; whatever is not here changes nothing. */
const TRANSITIONS: readonly [
  from: ReplayStatus["state"],
  dryRun: boolean,
  event: keyof typeof EVENTS,
  to: Partial<ReplayStatus>,
][] = [
  ["counting", false, "counted", { state: "starting", found: FOUND }],
  ["counting", false, "counted none", { state: "done", endedAt: NOW }],
  ["counting", false, "refused", { state: "refused", refusal: REFUSAL, endedAt: NOW }],
  ["counting", true, "counted", { state: "counted", found: FOUND, endedAt: NOW }],
  ["counting", true, "counted none", { state: "counted", endedAt: NOW }],
  ["counting", true, "refused", { state: "refused", refusal: REFUSAL, endedAt: NOW }],
  ["starting", false, "joined", { state: "running", until: "9-0", position: "0-9", startedAt: NOW }],
  ["running", false, "noted", { position: "1-0", queued: 1 }],
  ["running", false, "noted the last", { state: "done", position: "9-0", queued: 2, endedAt: NOW }],
];

test.each(TRANSITIONS)("a replay that is %s (dry run: %s) becomes, on %s, %j", (from, dryRun, event, to) => {
  expect(nextReplay(replay(from, dryRun), EVENTS[event], NOW)).toEqual({ ...replay(from, dryRun), ...to });
});

const others = REPLAY_STATES.flatMap((from) =>
  (Object.keys(EVENTS) as (keyof typeof EVENTS)[])
    .filter((event) => !TRANSITIONS.some(([state, dryRun, on]) => state === from && !dryRun && on === event))
    .map((event) => [from, event] as const),
);
test.each(others)("a replay that is %s is not changed by %s", (from, event) => {
  expect(nextReplay(replay(from), EVENTS[event], NOW)).toEqual(replay(from));
});
