import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../setup/free-port.ts";
import { type BenchCad, startBenchCad } from "../rig/bench-cad.ts";
import { BenchError } from "../measure/bench-error.ts";
import { routesTo } from "../rig/routes.ts";
import type { EventTimes, TakerQuestions } from "../rig/event-times.ts";
import { type Helper, startHelper } from "../load/helper.ts";
import type { Plan } from "../measure/plan.ts";
import type { SignedPostsQuestions } from "../load/signed-posts.ts";
import { until } from "../measure/poll.ts";
import { CAD_TOKEN, helperScript, type Rig, workerEnvironment } from "../rig/rig.ts";
import { median, percentile } from "../measure/stats.ts";
import type { ResultLine, Part } from "../measure/table.ts";
import { watchCpu } from "../measure/usage.ts";
import type { ReceiverQuestions } from "../rig/webhook-receiver.ts";

const PER_SECOND = 1000;
const GOAL = {
  handler: { p50: { atMost: 5 }, p99: { atMost: 25 } },
  webhook: { p50: { atMost: 15 }, p99: { atMost: 60 } },
};
/** Relative to a bare Socket.io client and to bare signed POSTs; several destinations share the rate of the POSTs. */
const GOAL_HANDLED = { atLeast: 0.5 };
const GOAL_POSTED = { atLeast: 0.4 };
const DESTINATIONS = 8;
/** Concurrency of the bare POST loop. */
const POSTS_AT_ONCE = 64;
const READY_WITHIN_MS = 20_000;
const ARRIVED_WITHIN_MS = 120_000;
const ASK_WITHIN_MS = 20_000;

type Taker = Pick<Helper<TakerQuestions>, "ask" | "pid" | "stop">;
interface Round {
  p50: number;
  p99: number;
}

/** From the CAD's broadcast to a handler and to the services, compared with a bare Socket.io client and bare POSTs. */
export async function measureEvents(rig: Rig, plan: Plan["events"], say: (line: string) => void): Promise<Part> {
  await rig.empty();
  const receiver = await startHelper<ReceiverQuestions>(
    helperScript("rig/webhook-receiver.ts"),
    join(rig.dir, "hooks.log"),
  );
  const port = await receiver.ask("port", null, ASK_WITHIN_MS);
  try {
    say("bare Socket.io client, bare POSTs");
    const bare = await measureBare(rig, plan);
    const posts = await measurePosts(rig, port);
    say("one destination");
    const one = await measureWorker(rig, receiver, { ...plan, destinations: 1, port });
    say(`${DESTINATIONS} destinations`);
    const many = await measureWorker(rig, receiver, { ...plan, rounds: 0, destinations: DESTINATIONS, port });
    return toPart(plan.burst, { bare, posts, one, many });
  } finally {
    await receiver.stop();
  }
}

async function measureBare(rig: Rig, plan: Plan["events"]) {
  const cad = await startBenchCad(rig, "modern");
  const client = await startHelper<TakerQuestions>(helperScript("rig/bare-listener.ts"), join(rig.dir, "bare.log"), {
    CAD_BACKEND_URL: cad.url,
    CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN,
  });
  const count = plan.seconds * PER_SECOND;
  await broadcast(cad, [{ taker: client, each: 1 }], { count, perSecond: PER_SECOND });
  const [steady] = await broadcast(cad, [{ taker: client, each: 1 }], { count, perSecond: PER_SECOND });
  const [burst] = await broadcast(cad, [{ taker: client, each: 1 }], { count: plan.burst, perSecond: null });
  await client.stop();
  await cad.stop();
  return { ...spread(steady), perSecond: rateOf(burst) };
}

/** Signed POSTs/s of a loop that does nothing else, to the same receiver. */
async function measurePosts(rig: Rig, port: number): Promise<number> {
  const helper: Helper<SignedPostsQuestions> = await startHelper(
    helperScript("load/signed-posts.ts"),
    join(rig.dir, "posts.log"),
  );
  const job = { url: `http://127.0.0.1:${port}/bare`, atOnce: POSTS_AT_ONCE, seconds: 1 };
  await helper.ask("post", job, ASK_WITHIN_MS);
  const { accepted, seconds } = await helper.ask("post", job, ASK_WITHIN_MS);
  await helper.stop();
  return accepted / seconds;
}

interface WorkerRun {
  rounds: number;
  seconds: number;
  warmUpSeconds: number;
  burst: number;
  destinations: number;
  port: number;
}

async function measureWorker(rig: Rig, receiver: Taker, run: WorkerRun) {
  // A separate CAD: otherwise the worker would get the other's events replayed.
  const cad = await startBenchCad(rig, "modern");
  await rig.empty();
  const routes = join(rig.dir, `routes-${run.destinations}.json`);
  writeFileSync(routes, JSON.stringify(routesTo(run.port, run.destinations)));
  const workerPort = await freePort();
  const worker = await startHelper<TakerQuestions>(helperScript("rig/event-worker.ts"), join(rig.dir, "events.log"), {
    ...workerEnvironment(rig, cad.url, workerPort),
    ROUTES_FILE: routes,
    ALLOW_PRIVATE_DESTINATIONS: "true",
  });
  await until("the worker is ready", () => isReady(workerPort), READY_WITHIN_MS);
  const takers = [
    { taker: worker, each: 1 },
    { taker: receiver, each: run.destinations },
  ];
  await broadcast(cad, takers, at(run.warmUpSeconds));
  const rounds = [];
  for (let round = 0; round < run.rounds; round += 1) {
    const used = watchCpu({ worker: worker.pid, redis: rig.redis.pid });
    const [handler, webhook] = await broadcast(cad, takers, at(run.seconds));
    const cpu = used();
    rounds.push({ handler: spread(handler), webhook: spread(webhook), cpu: perEvent(cpu, at(run.seconds).count) });
  }
  const [handled, received] = await broadcast(cad, takers, { count: run.burst, perSecond: null });
  await worker.stop();
  await cad.stop();
  return { rounds, handledPerSecond: rateOf(handled), receivedPerSecond: rateOf(received) / run.destinations };
}

/** Broadcasts, and waits until each receiver has every event; throws if one is missing or duplicated. */
async function broadcast(
  cad: BenchCad,
  takers: readonly { taker: Taker; each: number }[],
  what: { count: number; perSecond: number | null },
): Promise<EventTimes[]> {
  for (const { taker } of takers) await taker.ask("forget", null, ASK_WITHIN_MS);
  await cad.broadcast(what);
  for (const { taker, each } of takers) {
    const all = async () => (await taker.ask("count", null, ASK_WITHIN_MS)) >= what.count * each;
    await until("every event has arrived", all, ARRIVED_WITHIN_MS, 50);
  }
  const times = await Promise.all(takers.map(({ taker }) => taker.ask("times", null, ASK_WITHIN_MS)));
  for (const [i, { took }] of times.entries()) {
    const each = Object.values(took).map((list) => list.length);
    if (each.length !== takers[i]?.each || each.some((n) => n !== what.count))
      throw new BenchError(`${what.count} events were broadcast, and arrived ${each.join(", ")} times`);
  }
  return times;
}

const at = (seconds: number) => ({ count: seconds * PER_SECOND, perSecond: PER_SECOND });

async function isReady(port: number): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(1000) });
  return ((await answer.json()) as { bridge: { ready: boolean } | null }).bridge?.ready === true;
}

function spread(times: EventTimes | undefined): Round {
  const took = Object.values(times?.took ?? {}).flat();
  return { p50: percentile(took, 0.5), p99: percentile(took, 0.99) };
}
const rateOf = (times: EventTimes | undefined): number =>
  times === undefined
    ? Number.NaN
    : (Object.values(times.took).flat().length * 1000) / Math.max(1, times.lastMs - times.firstMs);
const perEvent = (cpu: Record<string, number | undefined>, events: number) =>
  Object.fromEntries(Object.entries(cpu).map(([name, micros]) => [name, micros && micros / events]));

interface Measured {
  bare: Round & { perSecond: number };
  posts: number;
  one: Awaited<ReturnType<typeof measureWorker>>;
  many: Awaited<ReturnType<typeof measureWorker>>;
}

const rate = (what: string, perSecond: number, note = ""): ResultLine => ({
  what,
  measured: perSecond,
  unit: "/s",
  note,
});
const part = (what: string, measured: number, goal: ResultLine["goal"]): ResultLine => ({
  what,
  measured,
  unit: "",
  ...(goal && { goal }),
});

function toPart(burst: number, measured: Measured): Part {
  const { bare, posts, one, many } = measured;
  const middle = (of: "handler" | "webhook", p: keyof Round) => median(one.rounds.map((round) => round[of][p]));
  const times = (["handler", "webhook"] as const).flatMap((of) =>
    (["p50", "p99"] as const).map((p): ResultLine => ({
      what: `broadcast at the ${of}  ${p}`,
      measured: middle(of, p),
      unit: "ms",
      goal: GOAL[of][p],
    })),
  );
  return {
    tables: [
      {
        title: `The CAD's events at ${PER_SECOND}/s, one destination`,
        lines: [
          ...times,
          { what: "bare Socket.io client  p50", measured: bare.p50, unit: "ms" },
          { what: "bare Socket.io client  p99", measured: bare.p99, unit: "ms" },
        ],
      },
      {
        title: `${burst.toLocaleString("en-US")} events at once`,
        lines: [
          rate("handled", one.handledPerSecond, "one destination"),
          rate("at 1 destination", one.receivedPerSecond),
          rate(`at ${DESTINATIONS} destinations, all of them`, many.receivedPerSecond),
          rate("bare Socket.io client", bare.perSecond),
          rate(
            `bare signed POSTs, ${POSTS_AT_ONCE} at once`,
            posts,
            `${Math.round(posts / DESTINATIONS)} for each of ${DESTINATIONS}`,
          ),
          part("handled, of the bare client's", one.handledPerSecond / bare.perSecond, GOAL_HANDLED),
          part("at 1 destination, of the bare POSTs", one.receivedPerSecond / posts, GOAL_POSTED),
          part(
            `at each of ${DESTINATIONS}, of its share of the bare POSTs`,
            (many.receivedPerSecond * DESTINATIONS) / posts,
            GOAL_POSTED,
          ),
        ],
      },
    ],
    numbers: { ...measured },
  };
}
