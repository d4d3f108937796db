import { createHash } from "node:crypto";
import { PLAIN, simulated, TRANSACTION } from "./lua-shim.ts";
import { type RedisServer, type Reply, ReplyError } from "./redis-server.ts";
import type { Process, Strike, World } from "./world.ts";

/** What is asked of Redis, however it is asked. */
export interface Question {
  /** The script's name, or the command's. */
  name: string;
  lua?: string;
  keys?: readonly string[];
  args: readonly (string | number)[];
}

/** What of a connection the network has to do with. */
export interface Line {
  readonly process: Process;
  /** Breaks it; it reconnects after this time, if Redis is up then. */
  cut(ms: number): void;
}

/** Steps whose effects Redis is assumed never to lose once it has answered: what is accepted stays (AOF). */
const NEVER_LOST: ReadonlySet<string> = new Set(["outboxAppend"]);

const INFO = [
  "redis_version:7.0.15",
  "aof_enabled:1",
  "aof_last_write_status:ok",
  "maxmemory_policy:noeviction",
  "used_memory:1",
  "maxmemory:0",
].join("\r\n");

/** Redis and the network to it: the real server, which is asked one thing at a time, and what may go wrong on the way. */
export class RedisNetwork {
  readonly lines = new Set<Line>();
  /** Called with every reply, before the caller gets it. */
  readonly watchers: ((process: Process, question: Question, reply: Reply) => void)[] = [];
  /** No connection comes about before, ms. */
  downUntil = 0;
  readonly #cutOff = new Map<Process, number>();
  readonly #world: World;
  readonly #server: RedisServer;
  readonly #simulated = new Map<string, string>();

  constructor(world: World, server: RedisServer) {
    this.#world = world;
    this.#server = server;
  }

  /** When a process may connect at the earliest, ms. */
  reachableAt(process: Process): number {
    return Math.max(this.downUntil, this.#cutOff.get(process) ?? 0);
  }

  /** A restart: every connection breaks. */
  restart(ms: number): void {
    this.#world.say(`Redis restarts`);
    this.downUntil = this.#world.now + ms;
    for (const line of this.lines) line.cut(ms);
  }

  /** Between this process and Redis nothing gets through. */
  partition(process: Process, ms: number): void {
    this.#cutOff.set(process, this.#world.now + ms);
    for (const line of this.lines) if (line.process === process) line.cut(ms);
  }

  /** Asks the real server, and lets it forget the answer's effect where that is what strikes. */
  async ask(process: Process, question: Question, strike?: Strike): Promise<Reply> {
    const forgets = strike?.fault === "lost write" && !NEVER_LOST.has(question.name);
    if (forgets) await this.#server.snapshot();
    const reply = await this.#answer(question);
    if (forgets) await this.#server.restore();
    this.#world.say(`${process.name} ${question.name} → ${shown(reply)}`);
    if (!forgets) for (const watch of this.watchers) watch(process, question, reply);
    return reply;
  }

  async #answer({ name, lua, keys = [], args }: Question): Promise<Reply> {
    const micros = this.#world.epochMicros();
    if (lua !== undefined) {
      const text = this.#simulated.get(lua) ?? simulated(lua);
      this.#simulated.set(lua, text);
      return await this.#server.run(text, keys, args, micros);
    }
    switch (name) {
      case "time":
        return [String(Math.floor(micros / 1_000_000)), String(micros % 1_000_000)];
      case "ping":
        return "PONG";
      case "info":
        return INFO;
      case "subscribe":
      case "unsubscribe":
        return 1;
      case "multi":
        return await this.#server.run(TRANSACTION, [], args, micros);
      default:
        return sorted(name, await this.#server.run(PLAIN, [], [name, ...args], micros));
    }
  }
}

/** Redis returns the members of a set in an order that differs between its processes. */
const sorted = (name: string, reply: Reply): Reply =>
  name === "smembers" && Array.isArray(reply) ? reply.map(String).toSorted() : reply;

function shown(reply: Reply): string {
  if (reply instanceof ReplyError) return reply.message.slice(0, 60);
  const text = JSON.stringify(reply);
  return text.length <= 60
    ? text
    : `${text.slice(0, 40)}… ${createHash("sha1").update(text).digest("hex").slice(0, 8)}`;
}
