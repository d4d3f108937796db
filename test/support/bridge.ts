import { inject, onTestFinished } from "vitest";
import { functionsEnv } from "../../functions/config/node-config.ts";
import { startFunctions } from "../../functions/hosts/node.ts";
import { parseConfig } from "../../shared/config/config.ts";
import { fromDisk } from "../../shared/config/program.ts";
import type { Log } from "../../shared/util/log.ts";
import type { Receipt } from "../../shared/commands/receipt.ts";
import { isFinal } from "../../shared/outbox/states.ts";
import { workerEnv } from "../../worker/config/worker-env.ts";
import { loadRoutes } from "../../worker/destinations/routes.ts";
import { startWorker, type Worker } from "../../worker/runtime/lifecycle.ts";
import { signTokens } from "../../tools/support/tokens.ts";
import { type Cad, type CadOptions, startCad } from "../../tools/simulator/cad.ts";
import { type AtEnd, startOnEdge } from "./edge.ts";
import { keptLog, type LogLine } from "./log.ts";
import { freshPrefix } from "./redis.ts";
import { until } from "../../tools/support/until.ts";

const JWT_SECRET = "a secret of the tests, forty characters.";
const CAD_TOKEN = "the CAD's token";
export const tokens = await signTokens(JWT_SECRET);
export { CAD_TOKEN, JWT_SECRET };

export interface Asked {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

export interface Bridge {
  url: string;
  prefix: string;
  cad: Cad;
  logs: LogLine[];
  /** The worker that runs; undefined until it is started. */
  worker(): Worker | undefined;
  startWorker(env?: Record<string, string>): Promise<Worker>;
  get(path: string, headers?: Record<string, string>): Promise<Asked>;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Asked>;
  /** Posts, and waits for the receipt of the final state. */
  deliver(path: string, body: unknown): Promise<Receipt>;
  settled(commandId: unknown, withinMs?: number): Promise<Receipt>;
  healthy(): Promise<void>;
}

export interface BridgeOptions {
  cad?: Partial<CadOptions>;
  worker?: Record<string, string> | false;
  functions?: Record<string, string>;
  redisUrl?: string;
  /** For a bridge that several tests share: when it ends. By default with the test. */
  atEnd?: AtEnd;
}

/** A test may be refused as often as it likes. */
const NO_LIMIT = { RATE_LIMIT_UNAUTHENTICATED: "0" };

/** Starts the functions on the host that the test is run for: Node, or the real workerd. */
async function startHost(options: BridgeOptions, log: Log, atEnd: AtEnd): Promise<{ origin: string; prefix: string }> {
  const REDIS_URL = options.redisUrl ?? inject("redisUrl");
  const env = { REDIS_URL, REDIS_PREFIX: freshPrefix(), JWT_SECRET, ...NO_LIMIT, ...options.functions };
  if (inject("host") === "edge") return await startOnEdge(env, Boolean(options.redisUrl ?? options.functions), atEnd);
  const functions = await startFunctions(parseConfig(functionsEnv, { ...env, PORT: "0" }), log);
  atEnd(() => functions.stop());
  return { origin: `http://127.0.0.1:${functions.port}`, prefix: env.REDIS_PREFIX };
}

/** A bridge of its own for one test: a CAD, the functions and a worker, on real Redis and sockets. */
export async function startBridge(options: BridgeOptions = {}): Promise<Bridge> {
  const { log, lines } = keptLog();
  const { atEnd = onTestFinished } = options;
  const cad = await startCad({ token: CAD_TOKEN, ...options.cad });
  atEnd(() => cad.stop());

  const { origin, prefix } = await startHost(options, log, atEnd);
  const url = `${origin}/api/socket-bridge`;
  const shared = { REDIS_URL: options.redisUrl ?? inject("redisUrl"), REDIS_PREFIX: prefix };

  let worker: Worker | undefined;
  async function start(env: Record<string, string> = {}): Promise<Worker> {
    const cadEnv = { CAD_BACKEND_URL: cad.url, CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN, WORKER_PORT: "0" };
    const config = parseConfig(workerEnv, { ...shared, ...cadEnv, ...env }, fromDisk);
    const destinations = loadRoutes(config, env, fromDisk);
    const started = await startWorker({ config, destinations, random: Math.random, log });
    atEnd(() => started.stop());
    worker = started;
    return started;
  }

  async function ask(method: string, path: string, headers: Record<string, string>, body?: string): Promise<Asked> {
    const authorization = { Authorization: `Bearer ${tokens.admin}` };
    const init = { method, headers: { ...authorization, ...headers }, signal: AbortSignal.timeout(35_000) };
    const response = await fetch(`${url}${path}`, body === undefined ? init : { ...init, body });
    const text = await response.text();
    const parsed: unknown = response.headers.get("Content-Type")?.includes("json") ? JSON.parse(text) : { text };
    return { status: response.status, headers: response.headers, body: parsed as Record<string, unknown> };
  }

  const bridge: Bridge = {
    url,
    prefix,
    cad,
    logs: lines,
    worker: () => worker,
    startWorker: start,
    get: (path, headers = {}) => ask("GET", path, headers),
    post: (path, body, headers = {}) =>
      ask(
        "POST",
        path,
        { "Content-Type": "application/json", ...headers },
        typeof body === "string" ? body : JSON.stringify(body),
      ),
    async deliver(path, body) {
      const { status, body: answer } = await bridge.post(path, body);
      if (status !== 202) throw new Error(`${path} answered ${status}: ${JSON.stringify(answer)}`);
      return bridge.settled(answer["command_id"]);
    },
    settled: (commandId, withinMs) =>
      until(
        `${String(commandId)} is settled`,
        async () => {
          const { status, body } = await bridge.get(`/commands/${String(commandId)}`);
          const receipt = body as unknown as Receipt;
          return status === 200 && isFinal(receipt.status) && receipt;
        },
        withinMs,
      ),
    async healthy() {
      await until("the bridge is healthy", async () => (await bridge.get("/health")).body["status"] === "healthy");
    },
  };
  if (options.worker !== false) {
    await start(options.worker);
    await bridge.healthy();
  }
  return bridge;
}
