import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Redis } from "ioredis";
import { outboxKeys, type OutboxKeys } from "../../../shared/redis/keys.ts";
import { ask, BASE_PATH } from "../../support/api.ts";
import { signTokens } from "../../support/tokens.ts";
import { freePort } from "../../setup/free-port.ts";
import { type RunningProcess, startProgram } from "../../setup/process.ts";
import { startRedis } from "../../setup/redis.ts";
import type { CharacterName } from "../../simulator/characters.ts";
import type { SwitchesPatch } from "../../simulator/switches.ts";
import { until } from "../../support/until.ts";
import { type CadLedger, openCadLedger } from "../check/cad-ledger.ts";
import type { Stall } from "../check/checker.ts";
import { type LeaseWatch, watchLease } from "../check/lease-watch.ts";
import { type Proxy, startProxy } from "./proxy.ts";
import { createService, type Service } from "./service.ts";
import { type Services, startServices } from "./services.ts";

const ROOT = join(import.meta.dirname, "../../..");
const PRELOAD_CLOCK = pathToFileURL(join(import.meta.dirname, "preload-clock.ts")).href;
const PRELOAD_LEDGER = pathToFileURL(join(import.meta.dirname, "preload-ledger.ts")).href;
const HEALTHY_WITHIN_MS = 20_000;

export interface RigOptions {
  /** Directory of the logs, the CAD's ledger and Redis's data. */
  dir: string;
  cad: CharacterName;
  switches: SwitchesPatch;
  workers: 1 | 2;
}

/** A worker, with proxies as its only paths to the CAD and to Redis. */
export interface RigWorker {
  name: string;
  service: Service;
  /** Path of its log file. */
  log: string;
  toCad: Proxy;
  toRedis: Proxy;
}

/** A process of the functions, with a proxy as its only path to Redis. */
export interface RigFunctions {
  service: Service;
  toRedis: Proxy;
}

/** A complete bridge of real processes with a CAD, for fault injection. */
export interface Rig {
  /** Base URLs of the functions. */
  urls: readonly string[];
  token: string;
  crewToken: string;
  keys: OutboxKeys;
  redisUrl: string;
  redis: Service;
  cad: Service;
  functions: readonly RigFunctions[];
  workers: readonly RigWorker[];
  ledger: CadLedger;
  lease: LeaseWatch;
  /** The destinations of the CAD's events. */
  services: Services;
  /** Processes that exited without being stopped: which, and how. */
  endings(): string[];
  /** The worker that is the leader. */
  owner(): RigWorker;
  standby(): RigWorker;
  switchCad(patch: SwitchesPatch): Promise<void>;
  dropCadConnections(): Promise<void>;
  /** Offsets the clocks of the functions and the workers by this much. */
  shiftClock(ms: number): void;
  /** Runs a command in Redis itself, on a separate connection. */
  runRedisCommand(...command: [string, ...string[]]): Promise<unknown>;
  /** Recorded by the faults, for the checker. */
  stalls: Stall[];
  stop(): Promise<void>;
}

export async function startRig(options: RigOptions): Promise<Rig> {
  const { dir } = options;
  const output = (name: string) => join(dir, `${name}.log`);
  const clock = join(dir, "clock");
  const file = join(dir, "cad-ledger.jsonl");
  const stops: (() => Promise<unknown>)[] = [];
  const services: Service[] = [];
  writeFileSync(clock, "0");

  /** Stopped with the rig. */
  function service(name: string, startOne: () => Promise<RunningProcess>): Service {
    const made = createService(name, startOne);
    services.push(made);
    stops.push(made.stop);
    return made;
  }

  try {
    const redisPort = await freePort();
    const redisUrl = `redis://127.0.0.1:${redisPort}`;
    const redis = service(
      "redis",
      async () => (await startRedis({ dir: join(dir, "redis"), port: redisPort })).process,
    );
    const cadToken = randomBytes(12).toString("hex");
    const jwtSecret = randomBytes(32).toString("hex");
    const shared = { LOG_FILE: undefined, CHAOS_CLOCK: clock };

    const cadPort = await freePort();
    const cadUrl = `http://127.0.0.1:${cadPort}`;
    let life = 0;
    const cad = service("cad", () =>
      startProgram({
        name: "cad",
        command: process.execPath,
        args: ["--import", PRELOAD_LEDGER, join(ROOT, "tools/simulator/main.ts")],
        output: output("cad"),
        env: {
          SIMULATOR_PORT: String(cadPort),
          SIMULATOR_HOST: "127.0.0.1",
          SIMULATOR_TOKEN: cadToken,
          SIMULATOR_CHARACTER: options.cad,
          SIMULATOR_SWITCHES: JSON.stringify(options.switches),
          CHAOS_LEDGER: file,
          CHAOS_LIFE: String(++life),
        },
        readyWhen: async () => (await ask("GET", `${cadUrl}/simulator/health`)).status === 200,
        stopWithinMs: 1000,
      }),
    );

    const program = (name: string, script: string, env: Record<string, string | undefined>, healthUrl: string) =>
      service(name, () =>
        startProgram({
          name,
          command: process.execPath,
          args: ["--import", PRELOAD_CLOCK, join(ROOT, script)],
          output: output(name),
          env: { ...shared, ...env },
          // Any status will do: it may start while others are down.
          readyWhen: async () => (await ask("GET", healthUrl, { withinMs: 2000 })).status > 0,
          stopWithinMs: 3000,
        }),
      );
    const functions: RigFunctions[] = [];
    const urls: string[] = [];
    for (const name of ["functions-1", "functions-2"]) {
      const port = String(await freePort());
      const url = `http://127.0.0.1:${port}${BASE_PATH}`;
      urls.push(url);
      const toRedis = await startProxy(redisPort);
      stops.push(toRedis.stop);
      const env = { REDIS_URL: `redis://127.0.0.1:${toRedis.port}`, PORT: port, JWT_SECRET: jwtSecret };
      functions.push({ toRedis, service: program(name, "functions/hosts/node.ts", env, `${url}/health`) });
    }

    const receivers = await startServices(dir);
    stops.push(receivers.stop);
    const workerAt = new Map<number, string>();
    const workers: RigWorker[] = [];
    for (const name of ["worker-a", "worker-b"].slice(0, options.workers)) {
      const toCad = await startProxy(cadPort, (port) => workerAt.set(port, name));
      const toRedis = await startProxy(redisPort);
      stops.push(toCad.stop, toRedis.stop);
      const port = String(await freePort());
      const env = {
        REDIS_URL: `redis://127.0.0.1:${toRedis.port}`,
        // Each worker reaches it through its own proxy.
        CAD_ID: "simulator",
        CAD_BACKEND_URL: `http://127.0.0.1:${toCad.port}`,
        CAD_BACKEND_AUTH_TOKEN: cadToken,
        WORKER_INSTANCE: name,
        ROUTES_FILE: receivers.routes,
        ALLOW_PRIVATE_DESTINATIONS: "true",
        WORKER_PORT: port,
      };
      const health = `http://127.0.0.1:${port}/health`;
      workers.push({ name, log: output(name), toCad, toRedis, service: program(name, "worker/main.ts", env, health) });
    }

    await Promise.all([redis.start(), cad.start()]);
    const keys = outboxKeys("socket-bridge");
    const lease = watchLease(redisUrl, keys);
    stops.push(async () => lease.stop());
    await Promise.all([...functions, ...workers].map(({ service: s }) => s.start()));
    await until(
      "the bridge is healthy",
      async () => {
        const { body } = await ask("GET", `${urls[0]}/health`);
        return body["status"] === "healthy" && lease.owner() !== undefined;
      },
      HEALTHY_WITHIN_MS,
    );

    const ofName = (which: (name: string) => boolean) => {
      const found = workers.find(({ name }) => which(name));
      if (!found) throw new Error("no such worker in this rig");
      return found;
    };
    const { admin, crew } = await signTokens(jwtSecret);
    return {
      urls,
      token: admin,
      crewToken: crew,
      keys,
      redisUrl,
      redis,
      cad,
      functions,
      workers,
      lease,
      services: receivers,
      ledger: openCadLedger(file, (port) => workerAt.get(port)),
      endings: () => services.flatMap(({ name, endings }) => endings.map((how) => `${name}: ${how}`)),
      owner: () => ofName((name) => name === lease.owner()),
      standby: () => ofName((name) => name !== lease.owner()),
      async switchCad(patch) {
        const body = JSON.stringify(patch);
        const response = await fetch(`${cadUrl}/simulator/switches`, { method: "PATCH", body });
        if (!response.ok) throw new Error(`the CAD rejected ${body}`);
      },
      async dropCadConnections() {
        await ask("POST", `${cadUrl}/simulator/drop-connections`);
      },
      shiftClock: (ms) => writeFileSync(clock, String(ms)),
      async runRedisCommand(command, ...args) {
        const connection = new Redis(redisUrl, { maxRetriesPerRequest: 1, commandTimeout: 5000 });
        connection.on("error", () => undefined); // the pending command rejects
        try {
          return await connection.call(command, ...args);
        } finally {
          connection.disconnect();
        }
      },
      stalls: [],
      stop: () => stopAll(stops),
    };
  } catch (error) {
    await stopAll(stops);
    throw error;
  }
}

/** Stops in reverse order of starting; a failure does not keep the others from being stopped. */
async function stopAll(stops: (() => Promise<unknown>)[]): Promise<void> {
  for (const stop of stops.splice(0).toReversed()) await stop().catch(() => undefined);
}
