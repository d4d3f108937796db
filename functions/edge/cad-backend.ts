import { once } from "node:events";
import { DurableObject } from "cloudflare:workers";
import type { Log } from "../../shared/log.ts";
import { connectRedis, redisFault } from "../../shared/redis.ts";
import { openSealer } from "../../shared/sealing.ts";
import { withDeadline } from "../../shared/sleep.ts";
import { type Backend, createBackend } from "../backend.ts";
import { toQuotas } from "../quotas.ts";
import { type Answer, type Arguments, type Call, CALL_MS, type Outcome } from "./calls.ts";
import { type Bindings, edgeConfig } from "./config.ts";
import { consoleLog } from "./console-log.ts";

/** How long the first calls wait for Redis, ms. */
const FIRST_CONNECT_MS = 1000;

/**
 * The Durable Object that holds the connections to Redis of one CAD backend: in a plain worker a connection would live
 * for one request only. It stores nothing itself. Both connections heal by themselves, and so does it: a new one takes
 * the place of one that was lost.
 */
export class CadBackend extends DurableObject<Bindings> {
  readonly #backend: Backend;
  readonly #log: Log;
  /** Redis is there in a few milliseconds, or not: a call that comes before does not fail for that. */
  readonly #connected: Promise<unknown>;

  constructor(state: unknown, env: Bindings) {
    super(state, env);
    const config = edgeConfig(env);
    this.#log = consoleLog("functions", config.LOG_LEVEL);
    const redis = connectRedis(config.REDIS_URL, "request", this.#log);
    const subscriber = connectRedis(config.REDIS_URL, "request", this.#log);
    const sealer = openSealer(config, this.#log);
    this.#backend = createBackend(
      redis,
      subscriber,
      config.REDIS_PREFIX,
      config.MAX_BACKLOG,
      sealer,
      this.#log,
      toQuotas(config),
    );
    this.#connected = Promise.all(
      [redis, subscriber].map((r) =>
        withDeadline(once(r, "ready"), FIRST_CONNECT_MS, "connecting").catch(() => undefined),
      ),
    );
  }

  /** Does one call of the Backend. Never rejects. */
  async call<C extends Call>(name: C, args: Arguments<C>): Promise<Outcome<Answer<C>>> {
    await this.#connected;
    try {
      if (!Object.hasOwn(CALL_MS, name)) throw new TypeError("the worker asks for what this version does not know");
      // TypeScript cannot see that the method of a name takes the arguments and gives the answer of that name.
      const method = this.#backend[name] as (...args: Arguments<C>) => Promise<Answer<C>>;
      return { ok: true, value: await method(...args) };
    } catch (error) {
      const fault = redisFault(error) ?? "unforeseen";
      const stack = error instanceof Error ? error.stack : String(error);
      if (fault === "unforeseen")
        this.#log.error({ call: name, stack }, "a call failed in a way that was not foreseen");
      return { ok: false, fault };
    }
  }
}
