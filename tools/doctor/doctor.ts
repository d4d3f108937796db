import type { Redis } from "ioredis";
import { ConfigError, EX_CONFIG, helpText, parseConfig } from "../../shared/config/config.ts";
import { openDestinationStore } from "../../shared/destinations/store.ts";
import { type WorkerHealth, workerHealth, withoutCredentials } from "../../shared/health/worker-health.ts";
import { noLog } from "../../shared/util/log.ts";
import { outboxKeys } from "../../shared/redis/keys.ts";
import { fromDisk } from "../../shared/config/program.ts";
import { checkRedis, clock, type Finding, finding } from "../../shared/redis/check.ts";
import { closeRedis, connectRedis } from "../../shared/redis/redis.ts";
import { createSession, type Session } from "../../worker/cad/session.ts";
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

const reason = (error: unknown): string => (error instanceof Error ? error.message || error.name : String(error));

async function lookAtRedis(redis: Redis, config: WorkerConfig): Promise<Finding[]> {
  const where = withoutCredentials(config.REDIS_URL);
  try {
    const findings = await checkRedis(redis);
    return [{ ok: true, what: `Redis answers at ${where}` }, ...findings, ...(await lookAtBridge(redis, config))];
  } catch (error) {
    const hint = "start it, or fix REDIS_URL";
    return [{ ok: false, what: `Redis does not answer at ${where}: ${reason(error)}`, hint }];
  }
}

/** What the bridge has in Redis: who owns the CAD, how it is, and how many rooms it is in. */
async function lookAtBridge(redis: Redis, { REDIS_PREFIX }: WorkerConfig): Promise<Finding[]> {
  const keys = outboxKeys(REDIS_PREFIX);
  const [owner, text, rooms, unsettled, dead] = await Promise.all([
    redis.get(keys.lease),
    redis.get(keys.health),
    redis.zcard(keys.rooms),
    redis.zcard(keys.open),
    redis.zcard(keys.dead),
  ]);
  const beat = workerHealth.safeParse(text === null ? null : JSON.parse(text));
  const waits = beat.success ? whatWaits(beat.data) : null;
  const owned = `the CAD's owner is ${owner}${waits ? `, which waits: ${waits}` : ""}`;
  return [
    owner === null
      ? { ok: false, what: "no worker owns the CAD", hint: "start a worker" }
      : finding(waits === null, owned, "see to what it waits for; nothing is lost meanwhile"),
    ...(beat.success ? lookAtAudit(beat.data) : []),
    { ok: true, what: `${unsettled} commands are unsettled, the bridge is to be in ${rooms} rooms` },
    finding(dead === 0, `${dead} dead letters`, "look at GET /dead-letters; redrive or discard them"),
  ];
}

/** Why commands or events wait; null if none do. */
function whatWaits({ waiting_for: commands, payload_problem: sealed, handlers, destinations }: WorkerHealth) {
  const behind = [...handlers.map((h) => h.reading_problem), ...destinations.map((d) => d.payload_problem)];
  return [commands, sealed, ...behind].find((why) => why !== null) ?? null;
}

const lookAtAudit = ({ audit_problem: why }: WorkerHealth): Finding[] =>
  why === null
    ? []
    : [
        finding(
          false,
          `the audit trail cannot be chained on: ${why}`,
          "see what `npm run audit -- verify` finds; docs/security.md says how the chain begins anew",
        ),
      ];

/** Whether what is in Redis can be read by whoever gets at it. */
function lookAtSealing({ PAYLOAD_KEYS: [key], ALLOW_UNSEALED_PAYLOADS }: WorkerConfig): Finding {
  if (key) return { ok: true, what: `payloads are sealed with the key "${key.id}"` };
  const hint = "set PAYLOAD_KEYS on the functions and the worker, or ALLOW_UNSEALED_PAYLOADS=true if it is meant so";
  return finding(ALLOW_UNSEALED_PAYLOADS === true, "payloads are stored in clear", hint);
}

/** Whether each destination can be reached, and what is left in Redis of those that were removed. Tells them no event. */
async function lookAtDestinations(redis: Redis, config: WorkerConfig, all: readonly Destination[]): Promise<Finding[]> {
  const book = openDestinationStore(redis, config.REDIS_PREFIX);
  const reached = all.map(async (destination): Promise<Finding> => {
    const sender = createSender(destination, config.ALLOW_PRIVATE_DESTINATIONS, 1);
    const said = await sender.reach();
    await sender.close();
    const what = `the destination ${destination.id} at ${withoutCredentials(destination.url)}`;
    if ("status" in said) return { ok: true, what: `${what} answers (an OPTIONS request, with ${said.status})` };
    return { ok: false, what: `${what}: ${said.reason}`, hint: "start it, or fix its url" };
  });
  const states = all.map(async ({ id }): Promise<Finding[]> => {
    const state = await book.load(id);
    if (!state || state.state === "ok") return [];
    const hint = `POST /destinations/${id}/enable once its service takes events again`;
    return [{ ok: false, what: `the destination ${id} is ${state.state}: ${state.reason}`, hint }];
  });
  const removed = await leftOfRemoved(redis, book, config.REDIS_PREFIX, all);
  const hint = "put it back into the routes, or discard its dead letters";
  const left = removed.map(({ id, reason: why }) => finding(false, `the destination ${id}: ${why}`, hint));
  return [...(await Promise.all(reached)), ...(await Promise.all(states)).flat(), ...left];
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
    const isServer = finding(response.ok, answers, "correct CAD_BACKEND_URL: it has to name a Socket.io 4 server");
    return [isServer, ...time, await tryToken(config)];
  } catch (error) {
    return [
      {
        ok: false,
        what: `the CAD does not answer at ${where}: ${reason(error)}`,
        hint: "start it, or hint CAD_BACKEND_URL",
      },
    ];
  }
}

/** Connects as the worker does, but joins no room and sends nothing. */
async function tryToken(config: WorkerConfig): Promise<Finding> {
  const held: { session?: Session } = {};
  const transport = createTransport(
    { url: config.CAD_BACKEND_URL },
    {
      connected: (recovered) => held.session?.events.connected(recovered),
      refused: (why) => held.session?.events.refused(why),
      disconnected: (why) => held.session?.events.disconnected(why),
      event: async (name, payload, missed) => (await held.session?.events.event(name, payload, missed)) ?? false,
    },
  );
  const session = createSession({
    transport,
    token: () => config.CAD_BACKEND_AUTH_TOKEN,
    rooms: { all: async () => [], note: () => undefined },
    mode: config.CAD_CONFIRM,
    times: {
      confirmMs: CAD_ANSWER_MS,
      authWaitMs: config.CAD_AUTH_WAIT_MS,
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
    return { ok: true, what };
  } catch (error) {
    const hint =
      "correct CAD_BACKEND_AUTH_TOKEN if the CAD refuses it, or CAD_BACKEND_URL if its path is no namespace; else look into the CAD's log";
    return { ok: false, what: `no connection to the CAD comes about: ${reason(error)}`, hint };
  } finally {
    session.end("the doctor is done", "leave");
  }
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
  const redis = connectRedis(config.REDIS_URL, "worker", noLog);
  const [ofRedis, ofCad] = await Promise.all([lookAtRedis(redis, config), lookAtCad(config)]);
  const ofDestinations = await lookAtDestinations(redis, config, destinations).catch((error: unknown) => [
    finding(false, `what Redis has of the destinations cannot be read: ${reason(error)}`, "see to Redis first"),
  ]);
  const findings = [...ofRedis, lookAtSealing(config), ...ofCad, ...ofDestinations];
  await closeRedis(redis);
  for (const found of findings)
    process.stdout.write(
      found.ok ? `ok     ${found.what}\n` : `WRONG  ${found.what}\n       to fix it: ${found.hint}\n`,
    );
  const wrong = findings.filter((f) => !f.ok).length;
  process.stdout.write(wrong === 0 ? "\nAll is well.\n" : `\n${wrong} of ${findings.length} are wrong.\n`);
  return wrong === 0 ? 0 : 1;
}

process.exitCode = await main();
