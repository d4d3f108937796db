import type { Redis } from "ioredis";
import { ConfigError, EX_CONFIG, helpText, parseConfig } from "../../shared/config/config.ts";
import { openDestinationStore } from "../../shared/destinations/store.ts";
import { redisAddress } from "../../shared/config/redis-url.ts";
import { type Found, problemId } from "../../shared/health/problems.ts";
import { doubtProblem, parseHeartbeat } from "../../shared/health/heartbeat.ts";
import { createSealer } from "../../shared/sealing/seal.ts";
import { withoutCredentials } from "../../shared/health/worker-health.ts";
import { sleep, withDeadline } from "../../shared/util/sleep.ts";
import { noLog } from "../../shared/util/log.ts";
import { readLoad } from "../../shared/destinations/load.ts";
import { loadProblems } from "../../shared/health/destination-problems.ts";
import { heldProblems } from "../../shared/health/held-problems.ts";
import { openBacklog } from "../../shared/outbox/backlog.ts";
import { destinationKeys, outboxKeys } from "../../shared/redis/keys.ts";
import { fromDisk } from "../../shared/config/program.ts";
import { checkRedis, type Finding, fine, redisTrouble, wrong } from "../../shared/health/check-redis.ts";
import { belonging, cadClaim, readStore, STORE_FORMAT, type StoreIdentity } from "../../shared/redis/store-identity.ts";
import { closeRedis, connectRedis, explain } from "../../shared/redis/redis.ts";
import { type WorkerConfig, workerEnv } from "../../worker/config/worker-env.ts";
import { leftOfRemoved } from "../../worker/destinations/destinations.ts";
import { type Destination, loadRoutes } from "../../worker/destinations/routes.ts";
import { type CadSettings, fleetEnv, loadFleet } from "../../worker/fleet/load.ts";
import { readArgs, UsageError } from "../support/cli.ts";
import { chosenCads, refuseCad } from "../support/several-cads.ts";
import { createSender } from "../../worker/destinations/send.ts";
import { lookAtCad } from "./cad.ts";

/**
 * `npm run doctor`: checks everything the worker depends on, with the worker's own configuration, and prints each problem
 * with a hint. Changes nothing; briefly connects one more client to the CAD. Exit code 0 if all is well, else 1.
 */
/** Deadline for all findings, counted from the process's start, ms; a check that has not finished is a finding. */
const LISTED_MS = 11_000;
/** Minimum time for each check, however slow the start was, ms. */
const PART_MS = 3000;
/** Time limit to reach a destination, ms. */
const REACH_MS = 5000;
/** Time to exit after the report, even if something is still pending, ms. */
const EXIT_MS = 1000;

/** The findings of a check; a failure or a timeout is a finding too. */
async function inTime(part: Promise<Finding[]>, toFinding: (error: unknown) => Finding): Promise<Finding[]> {
  const left = Math.max(PART_MS, LISTED_MS - performance.now());
  return withDeadline(part, left, "the check").catch((error: unknown) => [toFinding(error)]);
}

const reason = (error: unknown): string => (error instanceof Error ? error.message || error.name : String(error));

async function lookAtRedis(redis: Redis, config: WorkerConfig): Promise<Finding[]> {
  const findings = await checkRedis(redis);
  return [fine(`Redis answers at ${redisAddress(config.REDIS_URL)}`), ...findings];
}

/** The bridge's state in Redis: leader, health and number of joined rooms. */
async function lookAtBridge(redis: Redis, config: WorkerConfig): Promise<Finding[]> {
  const keys = outboxKeys(config.REDIS_PREFIX);
  const store = await readStore(redis, keys);
  const [owner, text, rooms, { unsettled, dead, held, now }] = await Promise.all([
    redis.get(keys.lease),
    redis.get(keys.health),
    redis.zcard(keys.rooms),
    openBacklog(redis, keys)(),
  ]);
  const beat = parseHeartbeat(text, sealerOf(config), keys);
  return [
    ...ofStore(store, config),
    owner === null ? wrong("worker-missing", {}) : fine(`the leader is ${owner}`),
    ...(beat && "doubt" in beat ? [doubtProblem(beat)] : (beat?.problems ?? [])).map(asFinding),
    fine(`${unsettled} commands are unsettled, ${rooms} rooms are joined`),
    ...heldProblems(held, now).map(asFinding),
    dead === 0 ? fine("0 dead letters") : wrong("dead-letters", { count: dead }, { count: dead }),
  ];
}

const asFinding = (problem: Found): Finding => ({ ok: false, problem });
const sealerOf = ({ PAYLOAD_KEYS, ALLOW_UNSEALED_PAYLOADS }: WorkerConfig) =>
  createSealer(PAYLOAD_KEYS, ALLOW_UNSEALED_PAYLOADS === true ? "open" : "refuse");

/** Whether the store in Redis belongs to this CAD. */
function ofStore(store: StoreIdentity | undefined, config: WorkerConfig): Finding[] {
  if (!store) return [];
  const shown = { store: store.cad || withoutCredentials(store.url), own: withoutCredentials(config.CAD_BACKEND_URL) };
  if (belonging(store, cadClaim(config)) === "other") return [wrong("wrong-cad", shown)];
  if (store.format > STORE_FORMAT) return [wrong("store-newer", { store: store.format, own: STORE_FORMAT })];
  return [fine(`the store in Redis belongs to the CAD ${shown.store}`)];
}

/** Whether payloads in Redis are readable by anyone with access to it. */
function lookAtSealing({ PAYLOAD_KEYS: [key], ALLOW_UNSEALED_PAYLOADS }: WorkerConfig): Finding {
  if (key) return fine(`payloads are sealed with the key "${key.id}"`);
  return ALLOW_UNSEALED_PAYLOADS === true ? fine("payloads are stored unencrypted") : wrong("payloads-unsealed", {});
}

/** Whether each destination is reachable. Sends no events. */
function lookAtDestinations(config: WorkerConfig, all: readonly Destination[]): Promise<Finding[]> {
  const reached = all.map(async (destination): Promise<Finding> => {
    const sender = createSender(
      { ...destination, timeoutMs: Math.min(destination.timeoutMs, REACH_MS) },
      config.ALLOW_PRIVATE_DESTINATIONS,
      1,
    );
    const said = await sender.reach();
    await sender.close();
    const at = withoutCredentials(destination.url);
    if ("status" in said)
      return fine(`the destination ${destination.id} at ${at} answers (an OPTIONS request, with ${said.status})`);
    const because = { destination: destination.id, reason: `${at}: ${said.reason}` };
    return wrong("destination-unreachable", because, { about: destination.id });
  });
  return Promise.all(reached);
}

/** The stored state of each destination, and of removed ones. */
async function lookAtOutboxes(redis: Redis, config: WorkerConfig, all: readonly Destination[]): Promise<Finding[]> {
  const book = openDestinationStore(redis, config.REDIS_PREFIX, sealerOf(config));
  const states = all.map(async ({ id }): Promise<Finding[]> => {
    const saved = await book.load(id);
    if (!saved || saved.state === "ok") return [];
    const code = `destination-${saved.state}` as const;
    return [wrong(code, { destination: id, reason: saved.reason }, { about: id, since: new Date(saved.since) })];
  });
  const loads = all.map(async ({ id }): Promise<Finding[]> => {
    const load = await readLoad(redis, destinationKeys(config.REDIS_PREFIX, id), config.DESTINATION_BACKLOG);
    return loadProblems(id, load, Date.now()).map((there) => ({ ok: false, problem: there }));
  });
  const removed = leftOfRemoved(redis, book, config.REDIS_PREFIX, all).then((left) =>
    left.map(({ id, reason: why }) =>
      wrong("destination-removed", { destination: id, reason: why ?? "" }, { about: id }),
    ),
  );
  // Awaited together: a rejection while another promise is awaited would be unhandled and end the process.
  return (await Promise.all([...states, ...loads, removed])).flat();
}

const shown = ({ code, message, hint, lost, runbook, since }: Found): string => {
  const rows = [
    `WRONG  ${code}: ${message}`,
    since ? `since: ${since}` : `detected: ${new Date().toISOString()}`,
    `hint: ${hint}`,
    `lost: ${lost}`,
    runbook,
  ];
  return `${rows.join("\n       ")}\n`;
};

/** Prints each check as soon as it is complete, in order. A finding of both the worker and the doctor is listed once. */
async function list(parts: readonly Promise<Finding[]>[]): Promise<{ checks: number; failed: number }> {
  const seen = new Set<string>();
  let checks = 0;
  for (const part of parts) {
    for (const found of await part) {
      const id = found.ok ? undefined : problemId(found.problem);
      if (id !== undefined && seen.has(id)) continue;
      if (id !== undefined) seen.add(id);
      checks += 1;
      process.stdout.write(found.ok ? `ok     ${found.what}\n` : shown(found.problem));
    }
  }
  return { checks, failed: seen.size };
}

const WHAT = `The doctor: checks Redis, the CAD and the bridge, and says how to fix what is wrong.
With CADS_FILE all of its CADs, or one: npm run doctor -- --cad ID`;

/** What is to be checked: one CAD of the environment, or those of CADS_FILE. Throws a ConfigError. */
function readSettings(cad: string | undefined): readonly (Omit<CadSettings, "id"> & { id?: string })[] {
  if (process.env["CADS_FILE"]) {
    const files = fleetEnv.pick({ CADS_FILE: true, REDIS_PREFIX: true });
    return chosenCads(loadFleet(parseConfig(files, process.env, fromDisk), process.env, fromDisk), cad);
  }
  refuseCad(cad);
  const config = parseConfig(workerEnv, process.env, fromDisk);
  return [{ config, destinations: loadRoutes(config, process.env, fromDisk) }];
}

async function checkOne({
  config,
  destinations,
}: Omit<CadSettings, "id">): Promise<{ checks: number; failed: number }> {
  const redis = connectRedis(config, "worker", noLog);
  const ofRedisError = (error: unknown) => redisTrouble(explain(redis, error));
  const counts = await list([
    Promise.resolve([lookAtSealing(config)]),
    inTime(lookAtRedis(redis, config), ofRedisError),
    inTime(lookAtBridge(redis, config), ofRedisError),
    inTime(lookAtCad(config), (error) => wrong("cad-disconnected", { reason: reason(error) })),
    inTime(lookAtDestinations(config, destinations), (error) =>
      wrong("destination-unreachable", { destination: "(any)", reason: reason(error) }),
    ),
    inTime(lookAtOutboxes(redis, config, destinations), ofRedisError),
  ]);
  // Closing may hang: exit without waiting for it.
  await Promise.race([closeRedis(redis), sleep(EXIT_MS)]);
  return counts;
}

async function main(): Promise<number> {
  if (process.argv.includes("--help")) {
    process.stdout.write(helpText(WHAT, workerEnv));
    return 0;
  }
  let settings: ReturnType<typeof readSettings>;
  try {
    const { values } = readArgs({ options: { cad: { type: "string" } } }, "doctor", process.env);
    settings = readSettings(values.cad);
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof UsageError)) throw error;
    process.stderr.write(`doctor: ${error.message}\n`);
    return EX_CONFIG;
  }
  let [checks, failed] = [0, 0];
  for (const one of settings) {
    if (one.id !== undefined) process.stdout.write(`\nCAD ${one.id}\n`);
    const counts = await checkOne(one);
    checks += counts.checks;
    failed += counts.failed;
  }
  process.stdout.write(failed === 0 ? "\nNo problems found.\n" : `\n${failed} of ${checks} checks failed.\n`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
setTimeout(() => process.exit(), EXIT_MS).unref();
