import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import type { Redis } from "ioredis";
import { z } from "zod";
import { chainKeys, type ChainKeys, auditKeyList, GENESIS } from "../../shared/audit/chain.ts";
import { exportTrail, verifyExport } from "../../shared/audit/export.ts";
import { loadCads } from "../../shared/cads/load.ts";
import { chosenCad, chosenCads, refuseCad } from "../support/several-cads.ts";
import { sealingEnv } from "../../shared/sealing/open-sealer.ts";
import { auditKeys, type AuditKeys } from "../../shared/audit/keys.ts";
import { type Noted, type Verdict, verifyTrail } from "../../shared/audit/verify.ts";
import {
  type Config,
  ConfigError,
  env,
  EX_CONFIG,
  helpText,
  parseConfig,
  redisEnv,
  sharedEnv,
} from "../../shared/config/config.ts";
import { instant } from "../../shared/vocabulary/fields.ts";
import { redisAddress } from "../../shared/config/redis-url.ts";
import { noLog } from "../../shared/util/log.ts";
import { outboxKeys } from "../../shared/redis/keys.ts";
import { fromDisk } from "../../shared/config/program.ts";
import { closeRedis, connectRedis } from "../../shared/redis/redis.ts";
import { withDeadline } from "../../shared/util/sleep.ts";
import { toIso } from "../../shared/util/time.ts";

/** `npm run audit`: verifies or exports the audit trail. Reads only. */
const auditEnv = z.object({
  ...redisEnv,
  REDIS_PREFIX: sharedEnv.REDIS_PREFIX,
  CADS_FILE: sharedEnv.CADS_FILE,
  AUDIT_KEY: env.note(auditKeyList.optional(), { secret: true }),
  PAYLOAD_KEYS: sealingEnv.PAYLOAD_KEYS,
});

const WHAT = `npm run audit -- verify [--cad ID] [--seen ID:HASH] [--file FILE] [--keyless]
    Verifies that no entry of the audit trail was changed, removed or inserted, and prints the first bad one. Exit code 1 if
    there is one, or if the worker found forged ones. --seen: this entry, noted earlier with its hash, must be in the trail;
    forged entries up to it are known. --file: verifies an export. --keyless: without AUDIT_KEY and PAYLOAD_KEYS; looks only
    whether entries and chain fit together.
npm run audit -- export [--cad ID] [--since TIME] [--until TIME]
    Prints the entries as JSON lines, the oldest first, with what is needed to verify them again.
    TIME is ISO 8601 with an offset or Z.
Each CAD of CADS_FILE has a trail of its own: verify looks at all of them, unless --cad names one.`;

const USAGE_ERROR = 2;
const ANSWER_MS = 5000;

/** Invalid arguments: exit code 2. */
class UsageError extends Error {
  override name = "UsageError";
}

interface Options {
  cad?: string | undefined;
  seen?: string | undefined;
  file?: string | undefined;
  keyless?: boolean | undefined;
  since?: string | undefined;
  until?: string | undefined;
}

function readArguments(args: string[]): { what: string; options: Options } {
  const text = { type: "string" } as const;
  try {
    const { positionals, values } = parseArgs({
      args,
      allowPositionals: true,
      options: { cad: text, seen: text, file: text, since: text, until: text, keyless: { type: "boolean" } },
    });
    const [what, ...more] = positionals;
    if ((what !== "verify" && what !== "export") || more.length > 0) throw new UsageError("Expected verify or export.");
    const takes = what === "verify" ? ["cad", "seen", "file", "keyless"] : ["cad", "since", "until"];
    const wrong = Object.keys(values).find((name) => !takes.includes(name));
    if (wrong) throw new UsageError(`${what} has no option --${wrong}.`);
    return { what, options: values };
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function toNoted(text: string | undefined): Noted | undefined {
  if (text === undefined) return undefined;
  const [, id, hash] = /^(\d+-\d+):([\w-]{43})$/.exec(text) ?? [];
  if (!id || !hash) throw new UsageError("--seen must be ID:HASH, as verify prints it.");
  return { id, hash };
}

function toMs(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!instant.safeParse(text).success)
    throw new UsageError(`--${name} must be an RFC 3339 time such as 2026-01-31T14:05:00Z.`);
  return Date.parse(text);
}

/** Prints the verdict; returns the exit code. */
function printVerdict(verdict: Verdict, keyless = false): number {
  if (!verdict.ok) {
    process.stdout.write(`BAD  ${verdict.id}  ${verdict.what}\n`);
    return 1;
  }
  const { checked, first, head, unlinked, oldestUnlinked, forged } = verdict;
  process.stdout.write(
    `ok   ${checked} entries${first ? ` from ${first} to ${head.id}` : ""}, chained by ${head.by}\n`,
  );
  if (unlinked > 0 && oldestUnlinked !== undefined)
    process.stdout.write(
      `     ${unlinked} are not chained yet, the oldest from ${toIso(oldestUnlinked)}: the worker will add them\n`,
    );
  if (keyless)
    process.stdout.write(
      "     without keys, changed entries and a rewritten trail cannot be detected, only entries missing from the chain\n",
    );
  const [forgedFirst] = forged;
  if (forgedFirst !== undefined)
    process.stdout.write(
      `FORGED  ${forged.length} entries were not written by the bridge, the first is ${forgedFirst}: each is marked in the chain\n`,
    );
  if (head.id !== GENESIS.id)
    process.stdout.write(`     keep this elsewhere, and pass it to a later verify:  --seen ${head.id}:${head.hash}\n`);
  return forged.length > 0 ? 1 : 0;
}

async function verifyFile(file: string, keys: ChainKeys, noted: Noted | undefined): Promise<Verdict> {
  return await verifyExport(createInterface({ input: createReadStream(file), crlfDelay: Infinity }), keys, noted);
}

async function write(redis: Redis, keys: AuditKeys, { since, until }: Options): Promise<number> {
  const range = { since: toMs("since", since), until: toMs("until", until) };
  try {
    await pipeline(ended(exportTrail(redis, keys, range)), process.stdout, { end: false });
  } catch (error) {
    // The reader of the pipe, such as head, has exited.
    if (!(error instanceof Error && "code" in error && error.code === "EPIPE")) throw error;
  }
  return 0;
}

async function* ended(lines: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of lines) yield `${line}\n`;
}

async function run(config: Config<typeof auditEnv>, what: string, options: Options, noted?: Noted): Promise<number> {
  const keyless = options.keyless === true;
  const secrets = { ...chainKeys(config.AUDIT_KEY, config.PAYLOAD_KEYS), ...(keyless && { keyless }) };
  const keys = auditKeys(outboxKeys(config.REDIS_PREFIX).base);
  const redis = connectRedis(config, "worker", noLog);
  try {
    await withDeadline(redis.ping(), ANSWER_MS, "asking Redis").catch((error: Error) => {
      const where = redisAddress(config.REDIS_URL);
      throw new Error(`Redis does not answer at ${where} (${error.message}): start it, or fix REDIS_URL`);
    });
    return what === "verify"
      ? printVerdict(await verifyTrail(redis, keys, secrets, noted), keyless)
      : await write(redis, keys, options);
  } finally {
    await closeRedis(redis);
  }
}

/** Of several CADs each by itself. A noted entry and an export are those of one. */
async function runEach(
  config: Config<typeof auditEnv>,
  what: string,
  options: Options,
  noted?: Noted,
): Promise<number> {
  if (config.CADS_FILE === undefined) {
    refuseCad(options.cad);
    return await run(config, what, options, noted);
  }
  const cads = loadCads(config.CADS_FILE, config.REDIS_PREFIX, fromDisk);
  const one = what === "export" || noted !== undefined;
  const chosen = one ? [chosenCad(cads, options.cad)] : chosenCads(cads, options.cad);
  let code = 0;
  for (const { id, prefix } of chosen) {
    if (what === "verify") process.stdout.write(`CAD ${id}\n`);
    code = Math.max(code, await run({ ...config, REDIS_PREFIX: prefix }, what, options, noted));
  }
  return code;
}

async function main(args: string[]): Promise<number> {
  if (args.includes("--help")) {
    process.stdout.write(helpText(WHAT, auditEnv));
    return 0;
  }
  try {
    const { what, options } = readArguments(args);
    const noted = toNoted(options.seen);
    if (options.file !== undefined) {
      const picked = auditEnv.pick({ AUDIT_KEY: true, PAYLOAD_KEYS: true });
      const { AUDIT_KEY, PAYLOAD_KEYS } = parseConfig(picked, process.env, fromDisk);
      const keyless = options.keyless === true;
      const secrets = { ...chainKeys(AUDIT_KEY, PAYLOAD_KEYS), ...(keyless && { keyless }) };
      return printVerdict(await verifyFile(options.file, secrets, noted), keyless);
    }
    return await runEach(parseConfig(auditEnv, process.env, fromDisk), what, options, noted);
  } catch (error) {
    const usage = error instanceof UsageError;
    const reason = error instanceof Error ? error.message : String(error);
    process.stderr.write(`audit: ${reason}${usage ? " See --help." : ""}\n`);
    return usage ? USAGE_ERROR : error instanceof ConfigError ? EX_CONFIG : 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
