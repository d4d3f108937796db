import { connect } from "node:net";
import { inject, onTestFinished, expect, test } from "vitest";
import { functionsEnv } from "../../functions/config/node-config.ts";
import { startFunctions } from "../../functions/hosts/node.ts";
import { parseConfig } from "../../shared/config/config.ts";
import { JWT_SECRET, startBridge, tokens } from "../support/bridge.ts";
import { ownJournal } from "../support/own-journal.ts";
import { keptLog } from "../support/log.ts";
import { freshPrefix } from "../support/redis.ts";
import { openStream } from "../support/sse.ts";
import { until } from "../../tools/support/until.ts";

// What only the Node host has to see to: at the edge, connections are the runtime's affair.

test("a client that does not read is cut off, and holds up no other", async () => {
  const bridge = await startBridge({ worker: false, functions: { STREAM_WRITE_TIMEOUT_MS: "1000" } });
  const journal = await ownJournal(bridge.prefix);
  const { host, hostname, port, pathname } = new URL(bridge.url);
  const slow = connect(Number(port), hostname);
  onTestFinished(() => void slow.destroy());
  const lines = [`GET ${pathname}/events HTTP/1.1`, `Host: ${host}`, `Authorization: Bearer ${tokens.dispatcher}`];
  slow.write(`${lines.join("\r\n")}\r\n\r\n`);
  let closed = false;
  let got = "";
  slow.on("error", () => undefined).on("close", () => void (closed = true));
  await new Promise<void>((resolve) => {
    slow.once("data", (bytes) => {
      got += String(bytes);
      slow.pause();
      resolve();
    });
  });
  expect(got).toMatch(/^HTTP\/1.1 200/);
  const fast = await openStream(bridge, tokens.dispatcher);

  // More than the kernel's buffers take.
  const payload = { text: "x".repeat(100_000) };
  const COUNT = 400;
  for (let n = 0; n < COUNT; n += 1) await journal.write({ payload: { ...payload, n } });
  await fast.told(COUNT);
  await until("the slow one is cut off", () =>
    bridge.logs.some((l) => l.message === "a stream ended" && l.fields["ending"] === "slow"),
  );
  // It still does not read: what it sends shows that nobody is there any more.
  await until("its connection is closed", () => {
    if (!closed) slow.write("\r\n");
    return closed;
  });
  expect(fast.ended()).toBe(false);
});

test("a host that stops ends its streams at once, and a client goes on at another", async () => {
  const { log } = keptLog();
  const prefix = freshPrefix();
  const env = { REDIS_URL: inject("redisUrl"), REDIS_PREFIX: prefix, JWT_SECRET, PORT: "0" };
  const start = async () => {
    const functions = await startFunctions(parseConfig(functionsEnv, env), log);
    onTestFinished(() => functions.stop());
    return { ...functions, url: `http://127.0.0.1:${functions.port}/api/socket-bridge` };
  };
  const [first, second] = await Promise.all([start(), start()]);
  const journal = await ownJournal(prefix);
  const clients = await Promise.all([1, 2, 3].map(() => openStream(first, tokens.dispatcher)));
  await journal.write({ payload: { n: 0 } });
  for (const client of clients) await client.told(1);
  const began = performance.now();
  await first.stop();
  expect(performance.now() - began).toBeLessThan(3000);
  await until("all have ended", () => clients.every((client) => client.ended()));
  await journal.write({ payload: { n: 1 } });
  const back = await openStream(second, tokens.dispatcher, "", { "Last-Event-ID": String(clients[0]?.lastId()) });
  expect(await back.told(1)).toMatchObject([{ payload: { n: 1 } }]);
});

test("many streams share what they read: a burst costs little more for fifty clients than for one", async () => {
  const bridge = await startBridge({ worker: false });
  const journal = await ownJournal(bridge.prefix);
  const COUNT = 300;
  const calls = async () =>
    Number(/cmdstat_xrange:calls=(\d+)/.exec(await journal.redis.info("commandstats"))?.[1] ?? 0);
  async function readsFor(clients: number): Promise<number> {
    const streams = await Promise.all(Array.from({ length: clients }, () => openStream(bridge, tokens.dispatcher)));
    await Promise.all(streams.map((s) => until("it knows where it is", () => s.lastId())));
    const before = await calls();
    for (let n = 0; n < COUNT; n += 1) await journal.write({ payload: { n } });
    await Promise.all(streams.map((s) => s.told(COUNT)));
    const after = await calls();
    for (const s of streams) s.leave();
    return after - before;
  }
  const one = await readsFor(1);
  const fifty = await readsFor(50);
  expect(fifty).toBeLessThan(one * 20);
});
