import { SealError } from "../../../shared/sealing/seal.ts";
import { DurableObject } from "cloudflare:workers";
import type { Log } from "../../../shared/util/log.ts";
import { faultReason, redisFault } from "../../../shared/redis/fault.ts";
import { openSealer } from "../../../shared/sealing/open-sealer.ts";
import type { Backend } from "../../backend/backend.ts";
import { connectBackend } from "../../backend/connect-backend.ts";
import { type Arguments, type Call, CALL_MS, type CallResult, type Reply } from "./calls.ts";
import { type Bindings, edgeConfig } from "./config.ts";
import { consoleLog } from "./console-log.ts";

/**
 * The Durable Object that holds the Redis connections of one CAD backend: in a plain worker a connection would live for one
 * request only. Stores nothing. Its connections reconnect by themselves, and a lost object is replaced by a new one.
 */
export class CadBackend extends DurableObject<Bindings> {
  readonly #backend: Backend;
  readonly #log: Log;
  /** Calls wait for it, so that those made before Redis is connected do not fail. */
  readonly #connected: Promise<unknown>;

  constructor(state: unknown, env: Bindings) {
    super(state, env);
    const config = edgeConfig(env);
    this.#log = consoleLog("functions", config.LOG_LEVEL);
    const { backend, connected } = connectBackend(config, openSealer(config, this.#log), this.#log);
    this.#backend = backend;
    this.#connected = connected;
  }

  /** Executes one call of the Backend. Never rejects. */
  async call<C extends Call>(name: C, args: Arguments<C>): Promise<CallResult<Reply<C>>> {
    await this.#connected;
    try {
      if (!Object.hasOwn(CALL_MS, name)) throw new TypeError("the worker made a call that this version does not know");
      // TypeScript cannot see that the method of a name takes the arguments and returns the answer of that name.
      const method = this.#backend[name] as (...args: Arguments<C>) => Promise<Reply<C>>;
      return { ok: true, value: await method(...args) };
    } catch (error) {
      const fault = redisFault(error);
      if (fault) return { ok: false, fault, reason: faultReason(error) };
      if (error instanceof SealError) return { ok: false, fault: "sealed", code: error.code, reason: error.message };
      const stack = error instanceof Error ? error.stack : String(error);
      this.#log.error({ call: name, stack }, "unexpected error in a call");
      return { ok: false, fault: "unforeseen" };
    }
  }
}
