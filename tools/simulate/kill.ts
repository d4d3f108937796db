import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Failure } from "./messages.ts";
import { MUTANTS } from "./mutants.ts";
import type { Schedule } from "./plan/schedule.ts";
import { type Shard, startShard } from "./shards.ts";

/** How many schedules are searched for one that reveals a seeded bug. */
const MOST_SEARCHED = 600;
const KILLS_FILE = join(import.meta.dirname, "kills.json");

/** A schedule that fails with a seeded bug, and holds without it. */
export interface Kill {
  /** Of the schedule before it was shrunk. */
  seed: number;
  /** The first violation. */
  shown: string;
  schedule: Schedule;
}

export const readKills = (): Record<string, Kill> =>
  existsSync(KILLS_FILE) ? (JSON.parse(readFileSync(KILLS_FILE, "utf8")) as Record<string, Kill>) : {};

function writeKills(kills: Readonly<Record<string, Kill>>): void {
  const sorted = Object.entries(kills).toSorted(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(KILLS_FILE, `${JSON.stringify(Object.fromEntries(sorted), undefined, 2)}\n`);
}

const violationsOf = async (shard: Shard, schedule: Schedule) =>
  (await shard.schedule({ schedule, lines: false }, () => undefined)).violations;

interface Verdict {
  name: string;
  /** Undefined: the bug survived. */
  kill?: Kill;
  how: string;
}

/** Tries the recorded schedule first, and then searches, beginning with the schedules for the steps that the bug is in. */
async function killOne(name: string, recorded: Kill | undefined, clean: Shard): Promise<Verdict> {
  const shard = await startShard(name);
  try {
    const [shown] = recorded ? await violationsOf(shard, recorded.schedule) : [];
    if (recorded && shown !== undefined) return { name, kill: { ...recorded, shown }, how: "recorded" };
    const found: Failure[] = [];
    const near = MUTANTS[name]?.near ?? [];
    const { schedules } = await shard.seeds(
      { from: 1, count: MOST_SEARCHED, near, stopAtFailure: true, shrink: true },
      (failure) => found.push(failure),
    );
    const how = `${schedules} searched`;
    const [failure] = found;
    if (!failure) return { name, how };
    const { seed, schedule, violations } = failure;
    if ((await violationsOf(clean, schedule)).length > 0)
      return { name, how: `${how}: seed ${seed} fails without the bug too` };
    return { name, kill: { seed, shown: violations[0] ?? "", schedule }, how };
  } finally {
    await shard.stop();
  }
}

function row({ name, kill, how }: Verdict): string {
  if (!kill) return `SURVIVES  ${name.padEnd(34)}  ${how}`;
  const { seed, shown, schedule } = kill;
  const size = `${schedule.commands.length} commands, ${schedule.events.length} events, ${schedule.faults.length} faults`;
  return `found     ${name.padEnd(34)}  ${`${how}, seed ${seed}`.padEnd(24)}  ${size.padEnd(33)}  ${shown.slice(0, 120)}`;
}

/** Seeds one bug after the other; false if one survives, or if a recorded schedule fails without its bug. */
export async function killAll(
  names: readonly string[],
  { processes, record, say }: { processes: number; record: boolean; say(text: string): void },
): Promise<boolean> {
  const kills = readKills();
  const waiting = [...names];
  const verdicts: Verdict[] = [];
  const clean = await startShard();
  const work = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const recorded = kills[name];
      const good = !recorded || (await violationsOf(clean, recorded.schedule)).length === 0;
      const verdict = good
        ? await killOne(name, recorded, clean)
        : { name, how: "its recorded schedule fails without the bug" };
      verdicts.push(verdict);
      say(`${verdict.kill ? "found   " : "SURVIVES"}  ${name}: ${MUTANTS[name]?.what}`);
      if (!verdict.kill) continue;
      if (record) writeKills(Object.assign(kills, { [name]: verdict.kill }));
      say(`  ${verdict.kill.shown}\n  ${JSON.stringify(verdict.kill.schedule)}`);
    }
  };
  try {
    await Promise.all(Array.from({ length: processes }, work));
  } finally {
    await clean.stop();
  }
  const survivors = verdicts.filter(({ kill }) => !kill).length;
  say(`\n${verdicts.map(row).toSorted().join("\n")}`);
  say(`${names.length - survivors} found, ${survivors} survive`);
  return survivors === 0;
}
