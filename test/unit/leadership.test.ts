import { expect, test } from "vitest";
import { untilAborted } from "../../shared/util/sleep.ts";
import type { Leader } from "../../worker/runtime/leader.ts";
import { createLeadership } from "../../worker/runtime/leadership.ts";
import { type LeadershipEvent, type LeadershipState, nextState } from "../../worker/runtime/leadership-state.ts";
import { until } from "../../tools/support/until.ts";
import { keptLog } from "../support/log.ts";

const EVENTS = {
  acquired: { type: "acquired" },
  stop: { type: "stop" },
  lost: { type: "lost" },
  settled: { type: "settled" },
  "closed with the lease": { type: "closed", held: true, stopping: true },
  "closed without the lease": { type: "closed", held: false, stopping: false },
  "closed without the lease while stopping": { type: "closed", held: false, stopping: true },
  "hand-over": { type: "hand-over" },
  released: { type: "released", stopping: true },
  "released to another worker": { type: "released", stopping: false },
} as const satisfies Record<string, LeadershipEvent>;
type EventName = keyof typeof EVENTS;

/** Every transition; any other event leaves the state as it is. */
const TRANSITIONS: Record<LeadershipState, Partial<Record<EventName, LeadershipState>>> = {
  standby: { acquired: "leading", stop: "stopped" },
  leading: { stop: "settling", lost: "closing", "hand-over": "settling" },
  settling: { settled: "closing", lost: "closing" },
  closing: {
    "closed with the lease": "handing-over",
    "closed without the lease": "standby",
    "closed without the lease while stopping": "stopped",
  },
  "handing-over": { released: "stopped", "released to another worker": "standby" },
  stopped: {},
};

const cases = (Object.keys(TRANSITIONS) as LeadershipState[]).flatMap((from) =>
  (Object.keys(EVENTS) as EventName[]).map((event) => [from, event, TRANSITIONS[from][event] ?? from] as const),
);

test.each(cases)("a worker that is %s, on %s: %s", (from, event, to) => {
  expect(nextState(from, EVENTS[event])).toBe(to);
});

/** A worker whose lease the test takes away; `calls` is what was asked of its leader and lease. */
function startLeadership(settles: Promise<void> = Promise.resolve()) {
  const calls: string[] = [];
  const stopping = new AbortController();
  const leases: AbortController[] = [];
  const leadership = createLeadership({ instance: "a", signal: stopping.signal, log: keptLog().log });
  const running = leadership.run({
    async acquire() {
      calls.push("acquire");
      if (leases.length > 0) await untilAborted(stopping.signal);
      if (stopping.signal.aborted) return undefined;
      const lost = new AbortController();
      leases.push(lost);
      const release = async () => void calls.push("release");
      return { token: "1:a", epoch: 1, held: () => !lost.signal.aborted, lost: lost.signal, release };
    },
    lead: (): Leader => ({
      health: () => expect.unreachable(),
      route: () => undefined,
      reconnect: () => undefined,
      wake: () => undefined,
      settle: async (lost) => {
        calls.push("settle");
        await Promise.race([settles, untilAborted(lost)]);
      },
      close: async () => void calls.push("close"),
      goodbye: async () => void calls.push("goodbye"),
    }),
  });
  const lose = () => leases.at(-1)?.abort();
  return { calls, leadership, running, stop: () => stopping.abort(), lose };
}

test("a leader that is asked to stop settles, closes, says goodbye and releases the lease, in that order", async () => {
  const { calls, leadership, running, stop } = startLeadership();
  await until("it leads", () => leadership.leader() !== undefined);
  stop();
  await running;
  expect(calls).toEqual(["acquire", "settle", "close", "goodbye", "release"]);
  expect(leadership.leader()).toBeUndefined();
});

test("a leader that loses the lease closes at once and asks for the lease again", async () => {
  const { calls, leadership, running, stop, lose } = startLeadership();
  await until("it leads", () => leadership.leader() !== undefined);
  lose();
  await until("it stands by", () => calls.length === 3);
  expect(leadership.leader()).toBeUndefined();
  stop();
  await running;
  expect(calls).toEqual(["acquire", "close", "acquire"]);
});

test("a leader that loses the lease while it settles neither says goodbye nor stands by again", async () => {
  const { calls, leadership, running, stop, lose } = startLeadership(new Promise(() => undefined));
  await until("it leads", () => leadership.leader() !== undefined);
  stop();
  await until("it settles", () => calls.includes("settle"));
  lose();
  await running;
  expect(calls).toEqual(["acquire", "settle", "close"]);
});

test("a leader that hands over does all that a stop does, and stands by again", async () => {
  const { calls, leadership, running, stop } = startLeadership();
  leadership.handOver();
  await until("it leads", () => leadership.leader() !== undefined);
  leadership.handOver();
  await until("it stands by", () => calls.length === 6);
  expect(leadership.leader()).toBeUndefined();
  stop();
  await running;
  expect(calls).toEqual(["acquire", "settle", "close", "goodbye", "release", "acquire"]);
});
