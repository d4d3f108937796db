import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { newSecret } from "../../tools/support/receiver.ts";
import { createSender } from "../../worker/destinations/send.ts";
import { connectRedis } from "../../shared/redis/redis.ts";
import { keptLog } from "../support/log.ts";

const MB = 1024 * 1024;
/** FUZZ_RUNS=10000 tries as many of each. */
const RUNS = Number(process.env["FUZZ_RUNS"] ?? 2000);
/** Each of these is a connection of its own. */
const REDIS_RUNS = Number(process.env["FUZZ_RUNS"] ?? 1000);
/** Another run: SEED=… in the environment. */
const seed = Number(process.env["SEED"] ?? 20_261_128);
/** How many are tried at once. */
const AT_ONCE = 50;

/** A server on a real port that answers each request on a connection with these bytes, and hangs up if they say so. */
async function rawServer(answer: (request: Buffer, socket: Socket) => void): Promise<{ port: number; server: Server }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => answer(bytes, socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, server };
}

/** Counts what nobody handled while a test runs. */
function unhandled(): unknown[] {
  const seen: unknown[] = [];
  const note = (error: unknown) => void seen.push(error);
  process.on("unhandledRejection", note);
  process.on("uncaughtException", note);
  onTestFinished(() => {
    process.off("unhandledRejection", note);
    process.off("uncaughtException", note);
  });
  return seen;
}

const bytes = fc.string({ unit: "binary", maxLength: 60 });
const header = fc.oneof(
  fc.constantFrom(
    "content-length: 5",
    "content-length: -1",
    "content-length: 99999999999999999999",
    "transfer-encoding: chunked",
  ),
  fc.constantFrom(
    "content-encoding: gzip",
    "connection: keep-alive",
    "connection: close",
    "upgrade: h2c",
    "location: http://127.0.0.1/",
  ),
  fc.tuple(fc.constantFrom("retry-after", "content-type", "set-cookie"), bytes).map((pair) => pair.join(": ")),
  fc.integer({ min: 1, max: 20_000 }).map((n) => `x-long: ${"x".repeat(n)}`),
  bytes,
);
const status = fc.oneof(
  fc.integer({ min: 0, max: 1200 }).map(String),
  fc.constantFrom("", "abc", "-1", "1e3", "204", "410", "429", "101", "100"),
);
/** What a destination should not answer, or nearly should. */
const httpAnswer = fc.oneof(
  fc
    .tuple(fc.constantFrom("HTTP/1.1", "HTTP/1.0", "HTTP/9", "ICY"), status, fc.array(header, { maxLength: 4 }), bytes)
    .map(
      ([version, code, headers, body]) =>
        `${version} ${code} x\r\n${headers.map((h) => `${h}\r\n`).join("")}\r\n${body}`,
    ),
  fc
    .tuple(bytes, fc.nat(200_000))
    .map(([text, n]) => `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${n.toString(16)}\r\n${text}`),
  fc.nat(100_000).map((n) => `HTTP/1.1 200 OK\r\ncontent-length: ${n}\r\n\r\n${"y".repeat(n)}`),
  bytes,
);

const simple = (text: string) => text.replaceAll(/[\r\n]/g, " ");
const redisValue: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    bytes.map((text) => `+${simple(text)}\r\n`),
    bytes.map((text) => `-${simple(text)}\r\n`),
    fc.constantFrom(
      "-ERR\r\n",
      "-LOADING x\r\n",
      "-MOVED 1 127.0.0.1:1\r\n",
      "-NOSCRIPT x\r\n",
      "$-1\r\n",
      "*-1\r\n",
      "*0\r\n",
      "_\r\n",
    ),
    fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map((n) => `:${n}\r\n`),
    fc
      .tuple(bytes, fc.integer({ min: -3, max: 70 }))
      .map(([text, off]) => `$${Buffer.byteLength(text) + (off < 60 ? 0 : off)}\r\n${text}\r\n`),
    fc.array(tie("value"), { maxLength: 4 }).map((all) => `*${all.length}\r\n${all.join("")}`),
  ),
})).value;
/** What Redis should not answer: wrong types, pieces, and bytes that are no reply at all. */
const redisAnswer = fc.oneof(
  redisValue,
  fc.tuple(redisValue, fc.nat(20)).map(([text, cut]) => text.slice(0, Math.max(0, text.length - cut))),
  fc.nat(50_000).map((n) => `$${n}\r\n${"z".repeat(n)}\r\n`),
  fc.nat(2_000).map((n) => `${"*1\r\n".repeat(n)}:1\r\n`),
  bytes,
);

/** Tries all of them, some at once. What fails is shrunk by fast-check, to the smallest that still does. */
async function tryAll<T>(arbitrary: fc.Arbitrary<T>, works: (value: T) => Promise<void>, runs = RUNS): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(arbitrary, { minLength: AT_ONCE, maxLength: AT_ONCE, size: "max" }), async (values) => {
      await Promise.all(values.map(works));
    }),
    { seed, numRuns: Math.ceil(runs / AT_ONCE), endOnFailure: false },
  );
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** What the process holds on to, bytes. */
function held(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test(
  `${RUNS} hostile answers of a destination (seed ${seed}) are each a result, and stay in no memory`,
  { timeout: 120_000 },
  async () => {
    const errors = unhandled();
    const answers = new Map<string, string>();
    const { port } = await rawServer((request, socket) => {
      const [, id = ""] = /"id":"([^"]*)"/.exec(request.toString("latin1")) ?? [];
      if (id !== "") socket.end(Buffer.from(answers.get(id) ?? "", "utf8"));
    });
    const target = { url: `http://127.0.0.1:${port}/`, secrets: [newSecret()], headers: {}, timeoutMs: 5000 };
    const sender = createSender(target, true, AT_ONCE);
    onTestFinished(() => sender.close());
    let count = 0;
    let before = 0;
    await tryAll(httpAnswer, async (answer) => {
      const id = String((count += 1));
      // The first hundreds are what the libraries themselves take.
      if (count === 500) before = held();
      answers.set(id, answer);
      const said = await sender.send(JSON.stringify({ source: "fuzz", id }));
      answers.delete(id);
      expect(["ok", "gone", "busy", "failed"]).toContain(said.result);
      if ("reason" in said) expect(said.reason.length).toBeLessThan(300);
      if (said.result === "busy") expect(said.inMs).toBeGreaterThanOrEqual(0);
    });
    expect(errors).toEqual([]);
    expect(count).toBeGreaterThanOrEqual(RUNS);
    expect(held() - before).toBeLessThan(64 * MB);
  },
);

test(
  `${REDIS_RUNS} hostile replies of Redis (seed ${seed}) are each an answer or an error, and stay in no memory`,
  { timeout: 120_000 },
  async () => {
    const errors = unhandled();
    const { log } = keptLog();
    const answers = new Map<string, string>();
    let told = 0;
    const { port } = await rawServer((request, socket) => {
      const text = request.toString("latin1");
      const [, id] = /fuzz-(\d+)/.exec(text) ?? [];
      if (id !== undefined) {
        told += 1;
        socket.end(Buffer.from(answers.get(id) ?? "", "utf8"));
        return;
      }
      // What a connection asks first is answered as Redis does.
      const info = "redis_version:7.4.0\r\nloading:0";
      for (const [, name = ""] of text.matchAll(/\*\d+\r\n\$\d+\r\n([A-Za-z]+)/g))
        socket.write(name.toLowerCase() === "info" ? `$${info.length}\r\n${info}\r\n` : "+OK\r\n");
    });
    let before = 0;
    let count = 0;
    await tryAll(
      redisAnswer,
      async (answer) => {
        const id = String((count += 1));
        if (count === 200) before = held();
        answers.set(id, answer);
        const redis = connectRedis({ REDIS_URL: `redis://127.0.0.1:${port}` }, "request", log);
        await new Promise((resolve) => redis.once("ready", resolve));
        const key = `fuzz-${id}`;
        await Promise.allSettled([
          redis.get(key),
          redis.hgetall(key),
          redis.xrange(key, "-", "+"),
          redis.hmget(key, "a"),
        ]);
        redis.disconnect();
        answers.delete(id);
      },
      REDIS_RUNS,
    );
    expect(told).toBeGreaterThanOrEqual(REDIS_RUNS);
    expect(errors).toEqual([]);
    expect(held() - before).toBeLessThan(64 * MB);
  },
);
