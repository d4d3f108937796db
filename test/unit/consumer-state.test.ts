import { expect, test } from "vitest";
import { type ConsumerEvent, type ConsumerState, nextState } from "../../worker/events/consumer-state.ts";

const STATES = {
  placing: { name: "placing" },
  reading: { name: "reading" },
  following: { name: "following" },
  rewinding: { name: "rewinding" },
  "retrying to place": { name: "retrying", step: "placing" },
  "retrying to read": { name: "retrying", step: "reading" },
  "retrying to rewind": { name: "retrying", step: "rewinding" },
  stopped: { name: "stopped" },
} as const satisfies Record<string, ConsumerState>;
type Name = keyof typeof STATES;

const EVENTS: Record<string, ConsumerEvent> = {
  placed: { type: "placed" },
  "page with more behind it": { type: "page", last: false },
  "last page": { type: "page", last: true },
  batch: { type: "batch" },
  overflowed: { type: "overflowed" },
  rewind: { type: "rewind" },
  rewound: { type: "rewound" },
  failed: { type: "failed" },
  waited: { type: "waited" },
  stop: { type: "stop" },
};

/** Every transition; any other event leaves the state as it is. */
const TRANSITIONS: Record<Name, Partial<Record<keyof typeof EVENTS, Name>>> = {
  placing: { placed: "reading", failed: "retrying to place", stop: "stopped" },
  reading: { "last page": "following", rewind: "rewinding", failed: "retrying to read", stop: "stopped" },
  following: { overflowed: "reading", rewind: "rewinding", failed: "retrying to read", stop: "stopped" },
  rewinding: { rewound: "reading", failed: "retrying to rewind", stop: "stopped" },
  "retrying to place": { waited: "placing", stop: "stopped" },
  "retrying to read": { waited: "reading", stop: "stopped" },
  "retrying to rewind": { waited: "rewinding", stop: "stopped" },
  stopped: {},
};

const cases = (Object.keys(STATES) as Name[]).flatMap((from) =>
  Object.keys(EVENTS).map((event) => [from, event, TRANSITIONS[from][event] ?? from] as const),
);

test.each(cases)("a consumer that is %s, on %s: %s", (from, event, to) => {
  expect(nextState(STATES[from], EVENTS[event] as ConsumerEvent)).toEqual(STATES[to]);
});
