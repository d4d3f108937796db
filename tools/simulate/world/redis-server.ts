import { spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { findRedis } from "../../setup/redis-binary.ts";
import { SNAPSHOT } from "./lua-shim.ts";

export type Reply = string | number | null | Reply[] | ReplyError;

export class ReplyError extends Error {
  override name = "ReplyError";
}

const START_MS = 10_000;

/** A real Redis on its own socket, without persistence. Calls are synchronous: nothing else happens meanwhile. */
export interface RedisServer {
  command(...args: (string | number)[]): Promise<Reply>;
  /** Runs a script with the simulated time as its last argument. */
  run(lua: string, keys: readonly string[], args: readonly (string | number)[], micros: number): Promise<Reply>;
  /** Empties it. */
  clear(): Promise<void>;
  /** Keeps everything as it is now; `restore` brings it back. */
  snapshot(): Promise<void>;
  restore(): Promise<void>;
  /** The CPU time that it has taken, ms. */
  cpuMs(): Promise<number>;
  stop(): Promise<void>;
}

export async function startRedisServer(): Promise<RedisServer> {
  const binary = await findRedis(() => undefined);
  const dir = mkdtempSync(join(tmpdir(), "simulate-"));
  const path = join(dir, "redis.sock");
  const options = ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--databases", "2"];
  const server = spawn(binary.path, [...options, "--dir", dir], { stdio: "ignore" });
  const end = () => void server.kill("SIGKILL");
  process.once("exit", end);
  try {
    const client = createClient(await connectTo(path, server));
    return createServer(client, async () => {
      process.removeListener("exit", end);
      client.close();
      server.kill("SIGTERM");
      await new Promise((resolve) => (server.exitCode === null ? server.once("exit", resolve) : resolve(undefined)));
      rmSync(dir, { recursive: true, force: true });
    });
  } catch (error) {
    end();
    throw error;
  }
}

async function connectTo(path: string, server: ChildProcess): Promise<Socket> {
  for (const from = performance.now(); performance.now() - from < START_MS; await pause(20)) {
    if (server.exitCode !== null) break;
    const socket = connect(path);
    const open = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    if (open) return socket;
  }
  throw new Error("the Redis of the simulation did not start");
}

function createServer(client: Client, stop: () => Promise<void>): RedisServer {
  /** Loaded once, and then named by their hashes. */
  const known = new Map<string, string>();
  async function hashOf(lua: string): Promise<string> {
    const hash = known.get(lua);
    if (hash !== undefined) return hash;
    const made = createHash("sha1").update(lua).digest("hex");
    const loaded = await client.ask(["SCRIPT", "LOAD", lua]);
    if (loaded instanceof ReplyError) throw loaded;
    known.set(lua, made);
    return made;
  }
  return {
    command: (...args) => client.ask(args),
    async run(lua, keys, args, micros) {
      return await client.ask(["EVALSHA", await hashOf(lua), keys.length, ...keys, ...args, micros]);
    },
    clear: async () => void (await client.ask(["FLUSHALL"])),
    async snapshot() {
      await client.ask(["EVALSHA", await hashOf(SNAPSHOT), 0]);
    },
    async restore() {
      await client.ask(["FLUSHDB"]);
      await client.ask(["SWAPDB", 0, 1]);
    },
    async cpuMs() {
      const info = String(await client.ask(["INFO", "cpu"]));
      const seconds = [...info.matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm)].map(([, s]) => Number(s));
      return 1000 * seconds.reduce((sum, s) => sum + s, 0);
    },
    stop,
  };
}

interface Client {
  ask(args: readonly (string | number)[]): Promise<Reply>;
  close(): void;
}

/** RESP2, one question at a time. */
function createClient(socket: Socket): Client {
  let buffer = Buffer.alloc(0);
  const waiting: ((reply: Reply) => void)[] = [];
  socket.on("data", (chunk) => {
    buffer = buffer.length === 0 ? chunk : Buffer.concat([buffer, chunk]);
    for (;;) {
      const parsed = parse(buffer, 0);
      if (!parsed) return;
      buffer = buffer.subarray(parsed.end);
      waiting.shift()?.(parsed.reply);
    }
  });
  return {
    ask(args) {
      const parts = args.map((arg) => {
        const text = String(arg);
        return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
      });
      socket.write(`*${args.length}\r\n${parts.join("")}`);
      return new Promise((resolve) => waiting.push(resolve));
    },
    close: () => socket.destroy(),
  };
}

interface Parsed {
  reply: Reply;
  end: number;
}

/** Undefined while there is not all of it yet. */
function parse(buffer: Buffer, from: number): Parsed | undefined {
  const stop = buffer.indexOf("\r\n", from);
  if (stop < 0) return undefined;
  const text = buffer.toString("utf8", from + 1, stop);
  const after = stop + 2;
  switch (String.fromCharCode(buffer[from] ?? 0)) {
    case "+":
      return { reply: text, end: after };
    case "-":
      return { reply: new ReplyError(text), end: after };
    case ":":
      return { reply: Number(text), end: after };
    case "$":
      return parseBulk(buffer, Number(text), after);
    default:
      return parseArray(buffer, Number(text), after);
  }
}

function parseBulk(buffer: Buffer, length: number, from: number): Parsed | undefined {
  if (length < 0) return { reply: null, end: from };
  const end = from + length;
  return buffer.length < end + 2 ? undefined : { reply: buffer.toString("utf8", from, end), end: end + 2 };
}

function parseArray(buffer: Buffer, length: number, from: number): Parsed | undefined {
  if (length < 0) return { reply: null, end: from };
  const replies: Reply[] = [];
  let at = from;
  for (let i = 0; i < length; i += 1) {
    const parsed = parse(buffer, at);
    if (!parsed) return undefined;
    replies.push(parsed.reply);
    at = parsed.end;
  }
  return { reply: replies, end: at };
}
