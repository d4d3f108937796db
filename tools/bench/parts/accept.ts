import { startBareServer } from "../rig/bare-server.ts";
import { BenchError } from "../measure/bench-error.ts";
import type { Target } from "../load/load.ts";
import type { Plan } from "../measure/plan.ts";
import { POST_STATUS, type Rig } from "../rig/rig.ts";
import { median, medianOf } from "../measure/stats.ts";
import type { Part } from "../measure/table.ts";
import { watchCpu } from "../measure/usage.ts";

const VARIANTS = ["json", "add", "post", "postOnce"] as const;
type Variant = (typeof VARIANTS)[number];
const NAMES: Record<Variant, string> = {
  json: "bare Hono route",
  add: "bare BullMQ add",
  post: "POST units/status",
  postOnce: "  with Idempotency-Key",
};
/** Relative to the rate of the bare BullMQ-add route. */
const GOAL = 0.8;
const WARM_UP_CLIENTS = 64;
const GRACE_MS = 15_000;

interface Round {
  perSecond: number;
  serverMicros: number | undefined;
  redisMicros: number | undefined;
}

/** Rate of accepted commands, compared with the minimum on the same libraries. No worker runs meanwhile. */
export async function measureAccept(rig: Rig, plan: Plan["accept"], say: (line: string) => void): Promise<Part> {
  const bare = await Promise.all([startBareServer(rig), startBareServer(rig)]);
  const [json, add] = bare;
  if (!json || !add) throw new BenchError("the bare servers did not start");
  const ours = { port: rig.functions.port, path: POST_STATUS, token: rig.tokens.crew };
  const targets: Record<Variant, Target & { pid: number }> = {
    json: { ...json, path: "/json", idempotency: false },
    add: { ...add, path: "/add", idempotency: false },
    post: { ...ours, pid: rig.functions.pid, idempotency: false },
    postOnce: { ...ours, pid: rig.functions.pid, idempotency: true },
  };

  async function run(variant: Variant, clients: number, seconds: number): Promise<Round> {
    await rig.empty();
    const { pid, ...target } = targets[variant];
    const used = watchCpu({ server: pid, redis: rig.redis.pid });
    const { accepted, seconds: took } = await rig.loader.ask(
      "closedLoop",
      { ...target, clients, seconds },
      seconds * 1000 + GRACE_MS,
    );
    const { server, redis } = used();
    const stored = (await rig.backlog()).unsettled;
    const ought = target.token === undefined ? 0 : accepted;
    if (stored !== ought) throw new BenchError(`${accepted} commands were accepted, but Redis has ${stored}`);
    const each = (micros: number | undefined) => (micros === undefined ? undefined : micros / accepted);
    return { perSecond: accepted / took, serverMicros: each(server), redisMicros: each(redis) };
  }

  const results = new Map(plan.clients.map((clients) => [clients, none()]));
  say("warming up");
  for (const variant of VARIANTS) await run(variant, WARM_UP_CLIENTS, plan.warmUpSeconds);
  for (let round = 1; round <= plan.rounds; round += 1) {
    say(`round ${round} of ${plan.rounds}`);
    for (const [clients, rounds] of results) {
      for (const variant of VARIANTS) rounds[variant].push(await run(variant, clients, plan.seconds));
    }
  }
  await Promise.all(bare.map((server) => server.stop()));
  await rig.empty();

  const summary = [...results].map(([clients, rounds]) => ({ clients, variants: summarise(rounds) }));
  return {
    tables: [...summary.map(ratesTable), cpuTable(summary)],
    numbers: { summary, rounds: Object.fromEntries(results) },
  };
}

const none = (): Record<Variant, Round[]> => ({ json: [], add: [], post: [], postOnce: [] });

type Summary = { clients: number; variants: Record<Variant, Round> };

function summarise(rounds: Record<Variant, Round[]>): Record<Variant, Round> {
  const middle = (variant: Variant): Round => ({
    perSecond: median(rounds[variant].map((round) => round.perSecond)),
    serverMicros: medianOf(rounds[variant].map((round) => round.serverMicros)),
    redisMicros: medianOf(rounds[variant].map((round) => round.redisMicros)),
  });
  return { json: middle("json"), add: middle("add"), post: middle("post"), postOnce: middle("postOnce") };
}

function ratesTable({ clients, variants }: Summary) {
  const goal = { atLeast: GOAL * variants.add.perSecond };
  const ofAdd = (variant: Variant) =>
    `${(variants[variant].perSecond / variants.add.perSecond).toFixed(2)} of the bare BullMQ add`;
  const lines = VARIANTS.map((variant) => ({
    what: NAMES[variant],
    measured: variants[variant].perSecond,
    unit: "/s",
    ...(variant.startsWith("post") && { goal, note: ofAdd(variant) }),
  }));
  return { title: `Accepted commands per second, ${clients} ${clients === 1 ? "client" : "clients"}`, lines };
}

function cpuTable(summaries: readonly Summary[]) {
  const last = summaries.at(-1);
  const lines = VARIANTS.flatMap((variant) => [
    { what: NAMES[variant], measured: last?.variants[variant].serverMicros, unit: "us", note: "server" },
    { what: "", measured: last?.variants[variant].redisMicros, unit: "us", note: "Redis" },
  ]);
  return { title: `CPU per accepted command, ${last?.clients ?? 0} clients`, lines };
}
