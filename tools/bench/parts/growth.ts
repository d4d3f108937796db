import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { journalKeys } from "../../../shared/journal/keys.ts";
import { type Helper, startHelper } from "../load/helper.ts";
import { BenchError } from "../measure/bench-error.ts";
import type { Plan } from "../measure/plan.ts";
import { until } from "../measure/poll.ts";
import { untilWarm } from "../measure/warm.ts";
import { medianOf } from "../measure/stats.ts";
import type { Part, ResultLine, Table } from "../measure/table.ts";
import { watchCpu } from "../measure/usage.ts";
import { startBenchCad } from "../rig/bench-cad.ts";
import { checkDelivered } from "../rig/delivered.ts";
import { fill } from "../rig/fill.ts";
import { helperScript, type Rig, startWorker } from "../rig/rig.ts";
import { routesTo } from "../rig/routes.ts";
import type { ReceiverQuestions } from "../rig/webhook-receiver.ts";

/** A command must not cost more as the data grows; destinations cost their own work, and each the same. */
const GOAL = { atMost: 1.15 };
const UNITS = [100, 1000, 10_000] as const;
const DESTINATIONS = [0, 1, 8] as const;
const FLEET = 200;
const WITHIN_MS = 180_000;
const ASK_WITHIN_MS = 20_000;
/** Commands whose events become the pattern of a long journal. */
const PATTERN = 50;
/** Entries that one script copies: Redis serves nobody else meanwhile. */
const COPIED_AT_ONCE = 5000;

/** What differs between two rounds. */
interface Setting {
  units: number;
  destinations: number;
  journal: number;
}
const BASE: Setting = { units: FLEET, destinations: 0, journal: 0 };

/** CPU for one command, us. */
interface Cost {
  /** Redis's, for accepting it. */
  accept: number | undefined;
  /** Worker and Redis, for delivering it, its event and its webhooks. */
  deliver: number | undefined;
}

/** The cost of a command with more units, more destinations, and a longer journal. */
export async function measureGrowth(rig: Rig, plan: Plan["growth"], say: (line: string) => void): Promise<Part> {
  const receiver = await startHelper<ReceiverQuestions>(
    helperScript("rig/webhook-receiver.ts"),
    join(rig.dir, "hooks.log"),
  );
  const settings = {
    units: UNITS.map((units) => ({ ...BASE, units })),
    destinations: DESTINATIONS.map((destinations) => ({ ...BASE, destinations })),
    journal: [0, plan.journal].map((journal) => ({ ...BASE, journal })),
  };
  const costs = new Map<Setting, Cost[]>(Object.values(settings).flatMap((all) => all.map((one) => [one, []])));
  try {
    for (let round = 1; round <= plan.rounds; round += 1) {
      say(`round ${round} of ${plan.rounds}`);
      // Forwards and backwards, so that a machine that becomes slower favours neither end.
      const order = [...costs];
      for (const [setting, found] of round % 2 === 1 ? order : order.toReversed()) {
        say(`  ${setting.units} units, ${setting.destinations} destinations, journal of ${setting.journal}`);
        found.push(await measureOne(rig, receiver, setting, plan.commands));
      }
    }
  } finally {
    await receiver.stop();
    await rig.empty();
  }
  const of = (setting: Setting, what: keyof Cost) => medianOf((costs.get(setting) ?? []).map((cost) => cost[what]));
  const table = (title: string, all: readonly Setting[], name: (setting: Setting) => string): Table => ({
    title,
    lines: all.flatMap((setting) => linesOf(name(setting), setting, all[0] ?? BASE, of)),
  });
  const [none, one, many] = settings.destinations.map((setting) => of(setting, "deliver"));
  const linear: ResultLine = {
    what: "each of 8 destinations, of the first one",
    measured:
      none === undefined || one === undefined || many === undefined ? undefined : (many - none) / 8 / (one - none),
    unit: "",
    goal: GOAL,
  };
  const withDestinations = table("CPU for a command, by destinations", settings.destinations, (s) =>
    named(s.destinations, "destinations"),
  );
  return {
    tables: [
      table("CPU for a command, by units", settings.units, (s) => named(s.units, "units")),
      // Each destination is more work: only whether the work is linear has a goal.
      { ...withDestinations, lines: [...withDestinations.lines.map(withoutGoal), linear] },
      table("CPU for a command, by length of the journal", settings.journal, (s) => named(s.journal, "entries")),
    ],
    numbers: { costs: [...costs].map(([setting, found]) => ({ ...setting, costs: found })) },
  };
}

const named = (count: number, what: string) => `${count.toLocaleString("en-US")} ${what}`;
const withoutGoal = ({ goal: _goal, ...line }: ResultLine): ResultLine => line;

function linesOf(
  name: string,
  setting: Setting,
  first: Setting,
  of: (setting: Setting, what: keyof Cost) => number | undefined,
): ResultLine[] {
  return (["accept", "deliver"] as const).flatMap((what): ResultLine[] => {
    const [mine, least] = [of(setting, what), of(first, what)];
    const line = { what: `${name}: ${what}`, measured: mine, unit: "us" };
    if (setting === first) return [line];
    const ratio = mine === undefined || least === undefined ? undefined : mine / least;
    return [line, { what: "  of the first", measured: ratio, unit: "", goal: GOAL }];
  });
}

async function measureOne(rig: Rig, receiver: Helper<ReceiverQuestions>, setting: Setting, commands: number) {
  await rig.empty();
  const cad = await startBenchCad(rig, "modern");
  const env = await routesEnv(rig, receiver, setting.destinations);
  if (setting.journal > 0) await growJournal(rig, cad, env, setting.journal);
  await cad.forget();
  await receiver.ask("forget", null, ASK_WITHIN_MS);
  const confirmedBefore = (await rig.backlog()).counts["confirmed"] ?? 0;

  const filling = watchCpu({ redis: rig.redis.pid });
  const ids = await fill(rig, commands, 1, setting.units);
  const accept = filling().redis;

  const worker = await startWorker(rig, cad.url, env);
  const unsettled = async () => (await rig.backlog()).unsettled;
  const from = await untilWarm(unsettled, commands, WITHIN_MS);
  const used = watchCpu({ worker: worker.pid, redis: rig.redis.pid });
  await until("the backlog is settled", async () => (await unsettled()) === 0, WITHIN_MS, 20);
  const received = async () => (await receiver.ask("count", null, ASK_WITHIN_MS)) >= commands * setting.destinations;
  await until("every webhook has come", received, WITHIN_MS, 20);
  const { worker: ofWorker, redis } = used();
  await checkDelivered(rig, cad, ids, confirmedBefore, WITHIN_MS);
  await worker.stop();
  await cad.stop();
  return {
    accept: accept === undefined ? undefined : accept / commands,
    deliver: ofWorker === undefined || redis === undefined ? undefined : (ofWorker + redis) / from,
  };
}

async function routesEnv(rig: Rig, receiver: Helper<ReceiverQuestions>, destinations: number) {
  if (destinations === 0) return {};
  const file = join(rig.dir, `growth-${destinations}.json`);
  writeFileSync(file, JSON.stringify(routesTo(await receiver.ask("port", null, ASK_WITHIN_MS), destinations)));
  return { ROUTES_FILE: file, ALLOW_PRIVATE_DESTINATIONS: "true" };
}

const COPY = `
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][2]
local at
for i = 1, #last, 2 do if last[i] == 'n' then at = i + 1 end end
local id
for _ = 1, tonumber(ARGV[1]) do
  last[at] = string.format('%.0f', last[at] + 1)
  id = redis.call('XADD', KEYS[1], '*', unpack(last))
end
for _, handler in ipairs(redis.call('HKEYS', KEYS[2])) do redis.call('HSET', KEYS[2], handler, id) end
return id`;

/** A journal of so many entries, copies of one that the bridge wrote, of which every handler is done with all. */
async function growJournal(
  rig: Rig,
  cad: Awaited<ReturnType<typeof startBenchCad>>,
  env: Readonly<Record<string, string>>,
  entries: number,
): Promise<void> {
  const ids = await fill(rig, PATTERN, 1);
  const worker = await startWorker(rig, cad.url, env);
  await checkDelivered(rig, cad, ids, 0, WITHIN_MS);
  const keys = journalKeys("socket-bridge");
  await until("the journal has entries", async () => (await rig.client.xlen(keys.journal)) >= PATTERN, WITHIN_MS);
  await worker.stop();
  for (let left = entries; left > 0; left -= COPIED_AT_ONCE)
    await rig.client.eval(COPY, 2, keys.journal, keys.cursors, Math.min(left, COPIED_AT_ONCE));
  if ((await rig.client.xlen(keys.journal)) < entries) throw new BenchError("the journal could not be made that long");
}
