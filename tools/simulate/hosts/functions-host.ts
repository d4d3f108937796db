import { AsyncLocalStorage } from "node:async_hooks";
import { type AppDeps, BASE_PATH, createApp } from "../../../functions/app.ts";
import { createBackend } from "../../../functions/backend/backend.ts";
import { UNLIMITED } from "../../../functions/config/quotas.ts";
import { atMost } from "../../../shared/outbox/bounds.ts";
import { connectRedis } from "../../../shared/redis/redis.ts";
import { createSealer } from "../../../shared/sealing/seal.ts";
import { NO_MEASURE } from "../../../shared/metrics/measure.ts";
import { noLog } from "../../../shared/util/log.ts";
import { type Role, ROLES } from "../../../shared/vocabulary/roles.ts";
import { PREFIX, REDIS_URL } from "./settings.ts";
import type { Process, World } from "../world/world.ts";

export interface ApiRequest {
  method: "GET" | "POST" | "DELETE";
  /** Below the API's base path. */
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  user: string;
  role: Role;
  /** The id that a command gets if it is accepted, and the request's own. */
  newId: string;
}

export interface ApiAnswer {
  status: number;
  body: Record<string, unknown>;
}

const RESTART_MS = 500;
const BACKLOG = 1000;
const STREAMS = { max: 0, heartbeatMs: 15_000, writeMs: 30_000 };

const connect = () => connectRedis({ REDIS_URL }, "request", noLog);
/** Of the request whose answer is being made. */
const asked = new AsyncLocalStorage<ApiRequest>();

const noFile = () => Promise.reject(new Error("the simulation serves no files"));

/** The whole HTTP API, without a server before it, and with tokens that need no cryptography: those take threads. */
function openApp(): ReturnType<typeof createApp> {
  const sealer = createSealer([]);
  return createApp({
    backend: createBackend(connect(), connect(), PREFIX, atMost(BACKLOG), sealer, noLog),
    sealer,
    async authenticate(authorization) {
      const [userId = "", given] = (authorization ?? "").split(" ");
      const role = ROLES.find((one) => one === given) ?? "crew";
      return { userId, role, roles: [role] };
    },
    ...({ assets: noFile, adminAssets: noFile } satisfies Partial<AppDeps>),
    now: () => new Date(),
    newId: () => asked.getStore()?.newId ?? crypto.randomUUID(),
    clientAddress: () => "192.0.2.1",
    ...{ corsOrigins: [], maxBodyBytes: 100_000, naiveTimes: "refuse", streams: STREAMS, quotas: UNLIMITED },
    stopping: new AbortController().signal,
    cutOff: () => undefined,
    measure: NO_MEASURE,
    scrape: async () => "",
    monotonic: () => performance.now(),
    log: noLog,
  });
}

/** The functions, restarted as by a supervisor, and the network between them and their clients. */
export class FunctionsHost {
  readonly #world: World;
  #present: { process: Process; app: ReturnType<typeof createApp> | undefined };

  constructor(world: World) {
    this.#world = world;
    this.#present = this.#start();
  }

  #start() {
    const life: { process: Process; app: ReturnType<typeof createApp> | undefined } = {
      app: undefined,
      process: this.#world.start("functions", () => void (life.app = openApp())),
    };
    life.process.onDeath.push(() =>
      this.#world.after(RESTART_MS, "", undefined, () => void (this.#present = this.#start())),
    );
    return life;
  }

  /** An answer may never come. */
  ask(request: ApiRequest, onAnswer: (answer: ApiAnswer) => void): void {
    const world = this.#world;
    const { process } = this.#present;
    world.after(world.delay("http to"), "", undefined, () => {
      const strike = world.step("http request");
      if (strike?.fault === "crash before") return world.kill(process);
      if (strike?.fault === "cut before") return;
      if (strike?.fault === "freeze") world.freeze(process, strike.ms);
      const late = strike?.fault === "late" ? strike.ms : 0;
      world.after(late, `${request.method} ${request.path} ${request.newId}`, process, () =>
        this.#serve(process, request, onAnswer),
      );
    });
  }

  #serve(process: Process, request: ApiRequest, onAnswer: (answer: ApiAnswer) => void): void {
    const world = this.#world;
    const { method, path, body, headers, user, role, newId } = request;
    const { app } = this.#present;
    const answer = async () => {
      const response = await app?.request(`http://bridge.simulation${BASE_PATH}${path}`, {
        method,
        headers: {
          ...{ authorization: `${user} ${role}`, "x-request-id": newId, ...headers },
          ...(body !== undefined && { "content-type": "application/json" }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      if (!response) return;
      const text = await response.text();
      const made = { status: response.status, body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
      world.after(0, "", undefined, () => this.#answer(process, made, onAnswer));
    };
    void asked.run(request, answer);
  }

  #answer(process: Process, made: ApiAnswer, onAnswer: (answer: ApiAnswer) => void): void {
    const world = this.#world;
    if (process.life === "dead") return;
    const strike = world.step("http answer");
    if (strike?.fault === "crash before") return world.kill(process);
    if (strike?.fault === "lost reply") return;
    if (strike?.fault === "freeze") world.freeze(process, strike.ms);
    const slow = strike?.fault === "slow reply" ? strike.ms : 0;
    world.after(world.delay("http from") + slow, "", undefined, () => onAnswer(made));
  }
}
