import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { isFree, onSomePort } from "../setup/free-port.ts";
import { startProgram, type RunningProcess } from "../setup/process.ts";
import { forgetPrefix } from "../setup/redis-probe.ts";
import { ensureRedis, startRedis } from "../setup/redis.ts";
import { SetupError } from "../setup/setup-error.ts";
import { WRANGLER, wranglerDev } from "../setup/wrangler.ts";
import { asRecord, ask, BASE_PATH, text } from "../support/api.ts";
import { payloadKeys } from "./payload-keys.ts";
import { createParts, type Parts } from "./parts.ts";
import { startServices } from "./services.ts";

export interface StackOptions {
  /** Parent directory of Redis's data and the logs. */
  dir: string;
  /** Port of the functions. */
  port: number;
  /** Whether the functions run in workerd instead of Node. */
  edge: boolean;
  cad: "legacy" | "modern";
  jwtSecret: string;
  log: (line: string) => void;
  /** Called for every process as soon as it runs, with part of its command line. */
  onStarted: (process: RunningProcess, command: string) => void;
}

export interface Stack {
  /** URL of the API, with its base path. */
  url: string;
  simulatorUrl: string;
  /** URL of the billing and the ePCR service. */
  servicesUrl: string;
  /** Its processes, which can be frozen, stopped and restarted. */
  parts: Pick<Parts, "names" | "state" | "act" | "died">;
  /** Stops everything in reverse order of starting. Idempotent. */
  stop(): Promise<void>;
}

const HOST = "127.0.0.1";
const WORKER_PORT = 9464;
const HEALTHY_WITHIN_MS = 30_000;

/** Starts a complete bridge and a CAD, and waits until it is healthy. Throws a SetupError naming what failed. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { port, log } = options;
  if (!(await isFree(port, HOST))) {
    throw new SetupError(
      `Port ${port} is in use by another program.`,
      `Choose another port: npm run up -- --port ${port + 1}`,
    );
  }
  const parts = createParts(join(options.dir, "logs"), options.onStarted);
  try {
    const redis = { ...(await redisPart(parts, options)), ...payloadKeys(options.dir) };
    const cadToken = randomBytes(24).toString("base64url");
    const simulatorUrl = await simulatorPart(parts, cadToken, options.cad);
    log(`simulator  ${simulatorUrl}  (${options.cad} CAD)`);
    const url = `http://${HOST}:${port}${BASE_PATH}`;
    await functionsPart(parts, url, options, { ...redis, JWT_SECRET: options.jwtSecret });
    log(`functions  ${url}${options.edge ? "  (at the edge: workerd)" : ""}`);
    const services = await startServices(parts);
    log(`services   ${services.url}  (billing and ePCR, receive webhooks)`);
    // Every start has a new port, but the store of the previous one.
    const cad = { CAD_ID: "simulator", CAD_BACKEND_URL: simulatorUrl, CAD_BACKEND_AUTH_TOKEN: cadToken };
    log(`worker     ${await workerPart(parts, url, { ...redis, ...cad, ...services.env })}`);
    return { url, simulatorUrl, servicesUrl: services.url, parts, stop: () => parts.stop() };
  } catch (error) {
    await parts.stop();
    throw error;
  }
}

/** The Redis environment: REDIS_URL and, on a shared Redis, a prefix of its own that is deleted at the end. */
async function redisPart(parts: Parts, { dir, log }: StackOptions): Promise<Record<string, string>> {
  const { url, process: own } = await ensureRedis({ dir: join(dir, "redis"), log });
  if (own) {
    const again = { dir: join(dir, "redis"), port: Number(new URL(url).port) };
    parts.add(own, new URL(url).host, async () => (await startRedis(again)).process);
    log(`Redis      ${url}`);
    return { REDIS_URL: url };
  }
  if (process.env["REDIS_PREFIX"]) return { REDIS_URL: url };
  const prefix = `demo-${randomBytes(6).toString("hex")}`;
  parts.atTheEnd(() => forgetPrefix(url, prefix));
  return { REDIS_URL: url, REDIS_PREFIX: prefix };
}

/** Resolves to the simulator's URL. */
function simulatorPart(parts: Parts, token: string, character: StackOptions["cad"]): Promise<string> {
  return onSomePort(undefined, async (port) => {
    const url = `http://${HOST}:${port}`;
    await parts.start({
      name: "simulator",
      script: "tools/simulator/main.ts",
      env: {
        SIMULATOR_HOST: HOST,
        SIMULATOR_PORT: String(port),
        SIMULATOR_TOKEN: token,
        SIMULATOR_CHARACTER: character,
      },
      readyWhen: async () => (await ask("GET", `${url}/simulator/health`)).status === 200,
    });
    return url;
  });
}

async function functionsPart(
  parts: Parts,
  url: string,
  { edge, port, dir }: StackOptions,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const readyWhen = async () => (await askHealth(url)).status !== undefined;
  if (!edge) {
    const script = "functions/hosts/node.ts";
    return await parts.start({ name: "functions", script, env: { ...env, HOST, PORT: String(port) }, readyWhen });
  }
  const wrangler = wranglerDev(HOST, port, "environment");
  const output = join(dir, "logs", "functions.log");
  const given = { ...wrangler, name: "functions", output, env: { ...env, ...wrangler.env } };
  parts.add(await startProgram({ ...given, readyWhen }), WRANGLER, () => startProgram(given));
}

/** Starts the worker; resolves to its health URL. It is ready when that reports healthy. */
function workerPart(parts: Parts, apiUrl: string, env: Readonly<Record<string, string>>): Promise<string> {
  // Checked by instance name: a worker killed a moment ago still looks alive in Redis.
  const instance = `demo-${randomBytes(6).toString("hex")}`;
  let health: Health | undefined;
  return onSomePort(WORKER_PORT, async (port) => {
    const started = parts.start({
      name: "worker",
      script: "worker/main.ts",
      env: { ...env, WORKER_HOST: HOST, WORKER_PORT: String(port), WORKER_INSTANCE: instance },
      readyWithinMs: HEALTHY_WITHIN_MS,
      readyWhen: async () => {
        health = await askHealth(apiUrl);
        return health.status === "healthy" && health.instance === instance;
      },
    });
    await started.catch((error: unknown) => {
      if (!(error instanceof SetupError)) throw error;
      const said = health?.said ?? "not known";
      throw new SetupError(`${error.message}\nHealth of the bridge: ${said}`, error.hint, { cause: error });
    });
    return `http://${HOST}:${port}/health`;
  });
}

interface Health {
  status: string | undefined;
  /** The worker's instance name. */
  instance: unknown;
  /** The whole answer as text, for messages. */
  said: string;
}

async function askHealth(apiUrl: string): Promise<Health> {
  const { status, body } = await ask("GET", `${apiUrl}/health`, { withinMs: 2_000 });
  return {
    status: text(body["status"]),
    instance: asRecord(body["worker"])["instance"],
    said: `${status} ${JSON.stringify(body)}`,
  };
}
