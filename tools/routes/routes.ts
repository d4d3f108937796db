import { resolve } from "node:path";
import type { Redis } from "ioredis";
import { type Config, ConfigError, EX_CONFIG, helpText, parseConfig } from "../../shared/config/config.ts";
import { fromDisk } from "../../shared/config/program.ts";
import { journalKeys } from "../../shared/journal/keys.ts";
import { entriesAfter } from "../../shared/journal/entries.ts";
import { type JournalReader, openJournalReader } from "../../shared/journal/read.ts";
import { closeRedis, connectRedis, explain } from "../../shared/redis/redis.ts";
import { idTime } from "../../shared/redis/stream-id.ts";
import { createSealer, SealError } from "../../shared/sealing/seal.ts";
import { noLog } from "../../shared/util/log.ts";
import { withDeadline } from "../../shared/util/sleep.ts";
import { workerEnv } from "../../worker/config/worker-env.ts";
import { type Destination, loadRoutes } from "../../worker/destinations/routes.ts";
import { SetupError } from "../setup/setup-error.ts";
import { readArgs, runCli, UsageError, wholeNumber } from "../support/cli.ts";
import { createComparison, type Difference } from "./compare.ts";

/** `npm run routes -- check FILE`: what other routes would do with the events of the last hours. Read-only. */
const WHAT = `npm run routes -- check FILE [--hours N] [--json]
    Lists every mistake of a routes file with its line. Runs it, and the present routes (ROUTES_FILE and the default
    destinations), against the journal of the last N hours (24), and prints the difference for each destination and event,
    with ids of events. Sends nothing, and prints no payload. \`once\` is not taken into account.
    Exit code: 0: it can be used; 2: wrong arguments; 78: it has mistakes; 1: the journal cannot be read.`;

/** The worker's variables that routes and the journal depend on. */
const routesEnv = workerEnv.pick({
  ...{ REDIS_URL: true, REDIS_TLS_CA: true, REDIS_TLS_CERT: true, REDIS_TLS_KEY: true },
  ...{ REDIS_SENTINEL_USERNAME: true, REDIS_SENTINEL_PASSWORD: true },
  ...{ REDIS_PREFIX: true, PAYLOAD_KEYS: true, ALLOW_UNSEALED_PAYLOADS: true, ROUTES_FILE: true },
  ...{ BILLING_API_URL: true, BILLING_WEBHOOK_SECRET: true, EPCR_API_URL: true, EPCR_WEBHOOK_SECRET: true },
  ALLOW_PRIVATE_DESTINATIONS: true,
});
type RoutesEnv = Config<typeof routesEnv>;

const PAGE_MS = 10_000;

interface Answer {
  file: string;
  mistakes: string[];
  hours: number;
  /** Number of journal entries compared; the first and the last. */
  looked: number;
  first: string | null;
  last: string | null;
  differences: Difference[];
}

/** The destinations of a file, or its errors. */
function tryLoad(config: RoutesEnv): { found: Destination[]; mistakes: string[] } {
  try {
    return { found: loadRoutes(config, process.env, fromDisk), mistakes: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { found: [], mistakes: error.problems.map((problem) => problem.replace(/^ROUTES_FILE: /, "")) };
  }
}

async function look(
  redis: Redis,
  config: RoutesEnv,
  hours: number,
  found: { before: Destination[]; after: Destination[] },
): Promise<Pick<Answer, "looked" | "first" | "last" | "differences">> {
  const sealer = createSealer(config.PAYLOAD_KEYS, config.ALLOW_UNSEALED_PAYLOADS === true ? "open" : "refuse");
  const journal = openJournalReader(redis, journalKeys(config.REDIS_PREFIX), sealer);
  const comparison = createComparison(found.before, found.after);
  let looked = 0;
  let first: string | null = null;
  let last: string | null = null;
  const after = `${idTime((Date.now() - hours * 3_600_000) * 1000)}-0`;
  const page: JournalReader["page"] = (...args) => withDeadline(journal.page(...args), PAGE_MS, "reading the journal");
  for await (const entry of entriesAfter({ page }, after)) {
    comparison.look(entry);
    looked += 1;
    first ??= entry.id;
    last = entry.id;
  }
  return { looked, first, last, differences: comparison.rows() };
}

/** Whether the two sets treat these events differently. */
const differs = ({ added, removed, otherFields }: Difference): boolean =>
  added.length + removed.length + otherFields.length > 0;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

function print({ file, mistakes, hours, looked, differences }: Answer): void {
  for (const mistake of mistakes) say(`${file}: ${mistake}`);
  if (mistakes.length > 0) {
    say(`\n${file} cannot be used; mistakes: ${mistakes.length}.`);
    return;
  }
  say(`${looked} events of the last ${hours} h.\n`);
  const rows = [["destination", "event", "before", "after"]];
  for (const row of differences) rows.push([row.destination, row.event, String(row.before), String(row.after)]);
  const widths = [0, 1, 2, 3].map((i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  for (const [n, row] of rows.entries()) {
    say(row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("  "));
    const difference = differences[n - 1];
    if (!difference) continue;
    const examples = {
      "sent only by the new routes": difference.added,
      "sent only by the current routes": difference.removed,
    };
    for (const [what, ids] of Object.entries({ ...examples, "with other fields": difference.otherFields }))
      if (ids.length > 0) say(`    ${what}, such as ${ids.join(", ")}`);
    if (difference.filterErrors > 0)
      say(`    a new filter could not be evaluated for ${difference.filterErrors} of them`);
  }
  say(
    `\n${file} can be used. ${differences.some(differs) ? "It differs as shown." : "It treats these events as the current routes do."}`,
  );
}

function cannotRead(redis: Redis, error: unknown): SetupError {
  if (error instanceof SealError)
    return new SetupError(`The journal cannot be read: ${error.message}.`, "Set PAYLOAD_KEYS to the worker's value.");
  const { message } = explain(redis, error) as Error;
  return new SetupError(`The journal cannot be read: ${message}.`, "Correct REDIS_URL, or start Redis.");
}

async function main(): Promise<number> {
  const options = {
    hours: { type: "string", default: "24" },
    json: { type: "boolean" },
    help: { type: "boolean" },
  } as const;
  const { values, positionals } = readArgs({ options, allowPositionals: true }, "routes", process.env);
  if (values.help) {
    process.stdout.write(helpText(WHAT, routesEnv));
    return 0;
  }
  const [command, file, ...more] = positionals;
  if (command !== "check" || file === undefined || more.length > 0) throw new UsageError("Expected: check FILE.");
  const hours = wholeNumber("hours", values.hours, 1, 24 * 365);
  let config: RoutesEnv;
  try {
    config = parseConfig(routesEnv, process.env, fromDisk);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`routes: ${error.message}\n`);
    return EX_CONFIG;
  }
  const after = tryLoad({ ...config, ROUTES_FILE: resolve(file) });
  const nothing = { looked: 0, first: null, last: null, differences: [] };
  const answer: Answer = { file, mistakes: after.mistakes, hours, ...nothing };
  if (after.mistakes.length === 0) {
    const before = tryLoad(config);
    if (before.mistakes.length > 0)
      process.stderr.write(
        `The current routes cannot be used and are treated as empty: ${before.mistakes.join("; ")}\n`,
      );
    const redis = connectRedis(config, "worker", noLog);
    try {
      Object.assign(answer, await look(redis, config, hours, { before: before.found, after: after.found }));
    } catch (error) {
      throw cannotRead(redis, error);
    } finally {
      await closeRedis(redis);
    }
  }
  if (values.json) process.stdout.write(`${JSON.stringify(answer)}\n`);
  else print(answer);
  return answer.mistakes.length > 0 ? EX_CONFIG : 0;
}

await runCli(main);
