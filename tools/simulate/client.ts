import { createBackend } from "../../functions/backend/backend.ts";
import { atMost } from "../../shared/outbox/bounds.ts";
import { connectRedis } from "../../shared/redis/redis.ts";
import { createSealer } from "../../shared/sealing/seal.ts";
import { noLog } from "../../shared/util/log.ts";
import type { Backend } from "../../functions/backend/backend.ts";
import { PREFIX, REDIS_URL } from "./settings.ts";
import { messageOf, type PlannedCommand } from "./workload.ts";
import type { Process, World } from "./world.ts";

export interface AcceptedCommand {
  id: string;
  keys: readonly string[];
  command: PlannedCommand;
  /** ms since 1970 */
  at: number;
}

/** How long a client waits for an answer, and then before it asks again, ms. */
const ANSWER_MS = 2500;
const AGAIN_MS = 300;
const RESTART_MS = 500;

const connect = () => connectRedis({ REDIS_URL }, "request", noLog);

/** The functions, and the clients that post to them: each command is repeated under its Idempotency-Key until it gets its 202. */
export class Clients {
  readonly accepted: AcceptedCommand[] = [];
  readonly #world: World;
  readonly #waiting: PlannedCommand[];
  readonly #posted = new Map<number, readonly string[]>();
  #functions: { process: Process; backend: Backend | undefined };

  constructor(world: World, commands: readonly PlannedCommand[]) {
    this.#world = world;
    this.#waiting = [...commands];
    this.#functions = this.#startFunctions();
    for (const { at } of commands) world.after(at, "", undefined, () => this.#postWhatMay());
  }

  isDone = (): boolean => this.#waiting.length === 0 && this.#posted.size === 0;

  #startFunctions() {
    const life: { process: Process; backend: Backend | undefined } = {
      backend: undefined,
      process: this.#world.start("functions", () => {
        const [redis, subscriber] = [connect(), connect()];
        life.backend = createBackend(redis, subscriber, PREFIX, atMost(1000), createSealer([]), noLog);
      }),
    };
    life.process.onDeath.push(() =>
      this.#world.after(RESTART_MS, "", undefined, () => void (this.#functions = this.#startFunctions())),
    );
    return life;
  }

  /** A command goes once those before it that share a key have their 202. */
  #postWhatMay(): void {
    const busy = new Set([...this.#posted.values()].flat());
    for (const command of [...this.#waiting]) {
      const { keys } = messageOf(command, "");
      const may = command.at <= this.#world.now && !keys.some((key) => busy.has(key));
      for (const key of keys) busy.add(key);
      if (!may) continue;
      this.#waiting.splice(this.#waiting.indexOf(command), 1);
      this.#posted.set(command.number, keys);
      this.#post(command, 1);
    }
  }

  #post(command: PlannedCommand, attempt: number): void {
    const world = this.#world;
    const { process, backend } = this.#functions;
    let over = false;
    const again = () => {
      if (over) return;
      over = true;
      world.after(AGAIN_MS, "", undefined, () => this.#post(command, attempt + 1));
    };
    world.after(ANSWER_MS, "", undefined, again);
    world.after(world.delay("post"), `POST ${command.number} ${command.kind}`, process, () => {
      const message = messageOf(command, `c${command.number}-${attempt}`);
      const answer = async () => {
        const appended = await backend?.accept(message).catch(() => undefined);
        world.after(world.delay("answer"), "", undefined, () => {
          if (appended?.outcome !== "accepted" && appended?.outcome !== "replayed") return again();
          if (!over) this.#take(command, appended.id, message.keys);
          over = true;
        });
      };
      void answer();
    });
  }

  #take(command: PlannedCommand, id: string, keys: readonly string[]): void {
    this.#world.say(`202 for ${id} (${keys.join(", ")})`);
    this.#posted.delete(command.number);
    this.accepted.push({ id, keys, command, at: this.#world.epochMs() });
    this.#postWhatMay();
  }
}
