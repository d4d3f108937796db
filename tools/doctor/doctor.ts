import type { Redis } from "ioredis";
import { ConfigError, EX_CONFIG, helpText, parseConfig } from "../../shared/config/config.ts";
import { openDestinationStore } from "../../shared/destinations/store.ts";
import { redisAddress } from "../../shared/config/redis-url.ts";
import { type Found, problemId } from "../../shared/health/problems.ts";
import { workerHealth, withoutCredentials } from "../../shared/health/worker-health.ts";
import { withDeadline } from "../../shared/util/sleep.ts";
import { noLog } from "../../shared/util/log.ts";
import { readLoad } from "../../shared/destinations/load.ts";
import { loadProblems } from "../../shared/health/destination-problems.ts";
import { destinationKeys, outboxKeys } from "../../shared/redis/keys.ts";
import { fromDisk } from "../../shared/config/program.ts";
import { checkRedis, clock, type Finding, fine, redisTrouble, wrong } from "../../shared/health/check-redis.ts";
import { belonging, cadClaim, readStore, type StoreIdentity } from "../../shared/redis/store-identity.ts";
import { closeRedis, connectRedis } from "../../shared/redis/redis.ts";
import { parseConfirmModes } from "../../worker/cad/confirm-modes.ts";
import { createSession, type Session } from "../../worker/cad/session.ts";
import { endpointOf } from "../../worker/cad/endpoint.ts";
import { createTransport } from "../../worker/cad/transport.ts";
import { type WorkerConfig, workerEnv } from "../../worker/config.ts";
import { leftOfRemoved } from "../../worker/destinations/destinations.ts";
import { type Destination, loadRoutes } from "../../worker/destinations/routes.ts";
import { createSender } from "../../worker/destinations/send.ts";

/**
 * `npm run doctor`: looks at everything that the worker needs, with the worker's own configuration, and says what is wrong
 * and how to fix it. Changes nothing; for a moment the CAD has one more client. Exit code 0 if all is well, else 1.
 */
const CAD_ANSWER_MS = 5000;

/** Within this everything is listed, ms; what has not answered by then is a finding. With the exit it stays under 15 s. */
const PART_MS = 6000;

/** What a part found; if it fails or does not end in time, that is the finding. */
async function inTime(part: Promise<Finding[]>, toFinding: (error: unknown) => Finding): Promise<Finding[]> {
  return withDeadline(part, PART_MS, "the check").catch((error: unknown) => [toFinding(error)]);
}

const reason = (error: unknown): string => (error instanceof Error ? error.message || error.name : String(error));

async function lookAtRedis(redis: Redis, config: WorkerConfig): Promise<Finding[]> {
  const where = redisAddress(config.REDIS_URL);
  try {
    const findings = await checkRedis(redis);
    return [fine(`Redis answers at ${where}`), ...findings, ...(await lookAtBridge(redis, config))];
  } catch (error) {
    return [redisTrouble(error)];
  }
}

/** What the bridge has in Redis: who owns the CAD, how it is, and how many rooms it is in. */
async function lookAtBridge(redis: Redis, config: WorkerConfig): Promise<Finding[]> {
  const keys = outboxKeys(config.REDIS_PREFIX);
  const store = await readStore(redis, keys);
  const [owner, text, rooms, unsettled, dead] = await Promise.all([
    redis.get(keys.lease),
    redis.get(keys.health),
    redis.zcard(keys.rooms),
    redis.zcard(keys.open),
    redis.zcard(keys.dead),
  ]);
  const beat = workerHealth.safeParse(text === null ? null : JSON.parse(text));
  return [
    ...ofStore(store, config),
    owner === null ? wrong("worker-missing", {}) : fine(`the CAD's owner is ${owner}`),
    ...(beat.success ? beat.data.problems.map((problem): Finding => ({ ok: false, problem })) : []),
    fine(`${unsettled} commands are unsettled, the bridge is to be in ${rooms} rooms`),
    dead === 0 ? fine("0 dead letters") : wrong("dead-letters", { count: dead }, { count: dead }),
  ];
}

/** Whether the store is this CAD's. */
function ofStore(store: StoreIdentity | undefined, config: WorkerConfig): Finding[] {
  if (!store) return [];
  const shown = { store: store.cad || withoutCredentials(store.url), own: withoutCredentials(config.CAD_BACKEND_URL) };
  if (belonging(store, cadClaim(config)) === "other") return [wrong("wrong-cad", shown)];
  return [fine(`the store in Redis belongs to the CAD ${shown.store}`)];
}

/** Whether what is in Redis can be read by whoever gets at it. */
function lookAtSealing({ PAYLOAD_KEYS: [key], ALLOW_UNSEALED_PAYLOADS }: WorkerConfig): Finding {
  if (key) return fine(`payloads are sealed with the key "${key.id}"`);
  return ALLOW_UNSEALED_PAYLOADS === true ? fine("payloads are stored in clear") : wrong("payloads-unsealed", {});
}

/** Whether each destination can be reached, and what is left in Redis of those that were removed. Tells them no event. */
async function lookAtDestinations(redis: Redis, config: WorkerConfig, all: readonly Destination[]): Promise<Finding[]> {
  const book = openDestinationStore(redis, config.REDIS_PREFIX);
  const reached = all.map(async (destination): Promise<Finding> => {
    const sender = createSender(destination, config.ALLOW_PRIVATE_DESTINATIONS, 1);
    const said = await sender.reach();
    await sender.close();
    const at = withoutCredentials(destination.url);
    if ("status" in said)
      return fine(`the destination ${destination.id} at ${at} answers (an OPTIONS request, with ${said.status})`);
    const because = { destination: destination.id, reason: `${at}: ${said.reason}` };
    return wrong("destination-unreachable", because, { about: destination.id });
  });
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
  const removed = await leftOfRemoved(redis, book, config.REDIS_PREFIX, all);
  const left = removed.map(({ id, reason: why }) =>
    wrong("destination-removed", { destination: id, reason: why ?? "" }, { about: id }),
  );
  return [...(await Promise.all(reached)), ...(await Promise.all([...states, ...loads])).flat(), ...left];
}

async function lookAtCad(config: WorkerConfig): Promise<Finding[]> {
  const where = withoutCredentials(config.CAD_BACKEND_URL);
  try {
    const url = new URL("/socket.io/?EIO=4&transport=polling", config.CAD_BACKEND_URL);
    const asked = Date.now();
    const response = await fetch(url, { signal: AbortSignal.timeout(CAD_ANSWER_MS) });
    await response.text();
    const date = Date.parse(response.headers.get("Date") ?? "");
    // The header tells whole seconds: half of one is the best guess.
    const ahead = Math.round(date + 500 - (asked + Date.now()) / 2);
    const time = Number.isNaN(date) ? [] : [clock("the CAD", ahead)];
    const answers = `the CAD answers at ${where} with ${response.status}`;
    const isServer = response.ok
      ? fine(answers)
      : wrong("cad-disconnected", { reason: `${where} answers ${response.status}` });
    return [isServer, ...time, await tryToken(config)];
  } catch (error) {
    return [wrong("cad-disconnected", { reason: `${where} does not answer: ${reason(error)}` })];
  }
}

/** Connects as the worker does, but joins no room and sends nothing. */
async function tryToken(config: WorkerConfig): Promise<Finding> {
  const held: { session?: Session } = {};
  const transport = createTransport(endpointOf(config), {
    connected: (recovered) => held.session?.events.connected(recovered),
    refused: (why) => held.session?.events.refused(why),
    disconnected: (why) => held.session?.events.disconnected(why),
    event: async (name, payload, missed) => (await held.session?.events.event(name, payload, missed)) ?? false,
  });
  const session = createSession({
    transport,
    token: () => config.CAD_BACKEND_AUTH_TOKEN,
    rooms: { all: async () => [], note: () => undefined },
    modeOf: parseConfirmModes(config.CAD_CONFIRM),
    times: {
      confirmMs: CAD_ANSWER_MS,
      authWaitMs: config.CAD_AUTH_WAIT_MS,
      barrierHoldMs: 0,
      barrierTimeoutMs: CAD_ANSWER_MS,
      barrierIdleMs: CAD_ANSWER_MS,
    },
    onEvent: async () => false,
    onLine: () => undefined,
    log: noLog,
  });
  held.session = session;
  try {
    await session.open();
    const { authenticated } = session.state();
    const what = authenticated
      ? "the CAD accepts the token, and answers"
      : "the CAD answers, but not fastapi:authenticate";
    return fine(what);
  } catch (error) {
    return wrong("cad-disconnected", { reason: reason(error) });
  } finally {
    session.end("the doctor is done", "leave");
  }
}

const shown = ({ code, message, hint, lost, runbook, since }: Found): string => {
  const rows = [
    `WRONG  ${code}: ${message}`,
    ...(since ? [`since: ${since}`] : []),
    `hint: ${hint}`,
    `lost: ${lost}`,
    runbook,
  ];
  return `${rows.join("\n       ")}\n`;
};

/** What the worker reports, and the doctor sees for itself, is listed once. */
function withoutRepeats(findings: readonly Finding[]): Finding[] {
  const seen = new Set<string>();
  return findings.filter((one) => {
    if (one.ok) return true;
    const id = problemId(one.problem);
    return !seen.has(id) && seen.add(id);
  });
}

async function main(): Promise<number> {
  const what = "The doctor: says what is wrong with Redis, the CAD and the bridge, and how to fix it.";
  if (process.argv.includes("--help")) {
    process.stdout.write(helpText(what, workerEnv));
    return 0;
  }
  let config: WorkerConfig;
  let destinations: Destination[];
  try {
    config = parseConfig(workerEnv, process.env, fromDisk);
    destinations = loadRoutes(config, process.env, fromDisk);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`doctor: ${error.message}\n`);
    return EX_CONFIG;
  }
  const redis = connectRedis(config, "worker", noLog);
  const [ofRedis, ofCad, ofDestinations] = await Promise.all([
    inTime(lookAtRedis(redis, config), redisTrouble),
    inTime(lookAtCad(config), (error) => wrong("cad-disconnected", { reason: reason(error) })),
    inTime(lookAtDestinations(redis, config, destinations), redisTrouble),
  ]);
  const findings = withoutRepeats([...ofRedis, lookAtSealing(config), ...ofCad, ...ofDestinations]);
  await closeRedis(redis);
  for (const found of findings) process.stdout.write(found.ok ? `ok     ${found.what}\n` : shown(found.problem));
  const count = findings.filter((f) => !f.ok).length;
  process.stdout.write(count === 0 ? "\nAll is well.\n" : `\n${count} of ${findings.length} are wrong.\n`);
  return count === 0 ? 0 : 1;
}

process.exitCode = await main();
