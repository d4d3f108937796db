import { expect, test } from "vitest";
import { type ConsumerEvent, type ConsumerState, nextState } from "../../worker/events/consumer-state.ts";

const STATES = {
  placing: { name: "placing" },
  reading: { name: "reading" },
  following: { name: "following" },
  "retrying to place": { name: "retrying", step: "placing" },
  "retrying to read": { name: "retrying", step: "reading" },
  stopped: { name: "stopped" },
} as const satisfies Record<string, ConsumerState>;
type Name = keyof typeof STATES;

const EVENTS: Record<string, ConsumerEvent> = {
  placed: { type: "placed" },
  "page with more behind it": { type: "page", last: false },
  "last page": { type: "page", last: true },
  batch: { type: "batch" },
  overflowed: { type: "overflowed" },
  failed: { type: "failed" },
  waited: { type: "waited" },
  stop: { type: "stop" },
};

/** Every transition; any other event leaves the state as it is. */
const TRANSITIONS: Record<Name, Partial<Record<keyof typeof EVENTS, Name>>> = {
  placing: { placed: "reading", failed: "retrying to place", stop: "stopped" },
  reading: { "last page": "following", failed: "retrying to read", stop: "stopped" },
  following: { overflowed: "reading", failed: "retrying to read", stop: "stopped" },
  "retrying to place": { waited: "placing", stop: "stopped" },
  "retrying to read": { waited: "reading", stop: "stopped" },
  stopped: {},
};

const cases = (Object.keys(STATES) as Name[]).flatMap((from) =>
  Object.keys(EVENTS).map((event) => [from, event, TRANSITIONS[from][event] ?? from] as const),
);

test.each(cases)("a consumer that is %s, on %s: %s", (from, event, to) => {
  expect(nextState(STATES[from], EVENTS[event] as ConsumerEvent)).toEqual(STATES[to]);
});
