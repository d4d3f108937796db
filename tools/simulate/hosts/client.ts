import type { ApiAnswer, FunctionsHost } from "./functions-host.ts";
import { keysOf, type PlannedCommand } from "./workload.ts";
import type { World } from "../world/world.ts";

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

/** The clients that post commands: each is repeated under its Idempotency-Key until it gets its 202. */
export class Clients {
  readonly accepted: AcceptedCommand[] = [];
  /** Answers that none of these commands may get. */
  readonly refused: string[] = [];
  readonly #world: World;
  readonly #functions: FunctionsHost;
  readonly #waiting: PlannedCommand[];
  readonly #posted = new Map<number, readonly string[]>();

  constructor(world: World, functions: FunctionsHost, commands: readonly PlannedCommand[]) {
    this.#world = world;
    this.#functions = functions;
    this.#waiting = [...commands];
    for (const { at } of commands) world.after(at, "", undefined, () => this.#postWhatMay());
  }

  isDone = (): boolean => this.#waiting.length === 0 && this.#posted.size === 0;

  /** A dead letter was sent again in its place. */
  redriven(id: string, as: string): void {
    const place = this.accepted.findIndex((one) => one.id === id);
    const letter = this.accepted[place];
    if (letter && !this.accepted.some((one) => one.id === as))
      this.accepted.splice(place + 1, 0, { ...letter, id: as });
  }

  /** A command goes once those before it that share a key have their 202. */
  #postWhatMay(): void {
    const busy = new Set([...this.#posted.values()].flat());
    for (const command of [...this.#waiting]) {
      const keys = keysOf(command);
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
    const { number, kind, body, user, role, ttlSeconds } = command;
    let over = false;
    const again = () => {
      if (over) return;
      over = true;
      world.after(AGAIN_MS, "", undefined, () => this.#post(command, attempt + 1));
    };
    world.after(ANSWER_MS, "", undefined, again);
    this.#functions.ask(
      {
        ...{ method: "POST", path: `/${kind}`, body, user, role, newId: `c${number}-${attempt}` },
        headers: {
          "idempotency-key": `command-${number}`,
          ...(ttlSeconds !== undefined && { "command-ttl": String(ttlSeconds) }),
        },
      },
      (answer) => {
        if (over) return;
        if (answer.status >= 500) return again();
        over = true;
        if (answer.status !== 202) return this.#giveUp(command, answer);
        this.#take(command, String(answer.body["command_id"]));
      },
    );
  }

  #giveUp({ number, kind }: PlannedCommand, answer: ApiAnswer): void {
    this.refused.push(`http: POST /${kind} was answered ${answer.status} ${JSON.stringify(answer.body)}`);
    this.#posted.delete(number);
  }

  #take(command: PlannedCommand, id: string): void {
    const keys = keysOf(command);
    this.#world.say(`202 for ${id} (${keys.join(", ")})`);
    this.#posted.delete(command.number);
    this.accepted.push({ id, keys, command, at: this.#world.epochMs() });
    this.#postWhatMay();
  }
}
