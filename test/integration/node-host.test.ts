import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { freshPrefix } from "../support/redis.ts";
import { startProcess } from "../../tools/setup/process.ts";
import { freePort } from "../../tools/setup/free-port.ts";
import { signTokens } from "../../tools/support/tokens.ts";
import { type Bridge, startBridge, tokens } from "../support/bridge.ts";
import { until } from "../../tools/support/until.ts";

// What only the Node host has to see to: at the edge, connections are the runtime's affair.

test("a connection on which a body was not read to its end is closed, so that no request follows on it", async () => {
  const bridge = await startBridge({ worker: false });
  const answer = await bridge.post("/units/status", "x".repeat(300_000));
  expect(answer).toMatchObject({ status: 413 });
  expect(answer.headers.get("Connection")).toBe("close");
});

const port = (bridge: Bridge) => Number(new URL(bridge.url).port);
const HEAD = "POST /api/socket-bridge/units/status HTTP/1.1\r\nHost: x\r\n";

/** Sends the text, and answers all that came back once the server has closed the connection. */
async function untilClosed(bridge: Bridge, text: string, drip?: string): Promise<{ answer: string; ms: number }> {
  const began = performance.now();
  const socket = connect(port(bridge), "127.0.0.1");
  let answer = "";
  socket.on("data", (chunk) => (answer += chunk.toString()));
  socket.on("error", () => undefined);
  socket.write(text);
  const dripping = drip === undefined ? undefined : setInterval(() => socket.write(drip), 50);
  await until("the server has closed the connection", () => socket.closed || socket.readableEnded);
  clearInterval(dripping);
  socket.destroy();
  return { answer, ms: performance.now() - began };
}
const open = async (bridge: Bridge): Promise<Socket> => {
  const socket = connect(port(bridge), "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
};
const isServed = (socket: Socket) =>
  new Promise<boolean>((resolve) => {
    socket.once("data", () => resolve(true));
    socket.once("close", () => resolve(false));
    if (socket.closed || socket.readableEnded) resolve(false);
    socket.write("GET /api/socket-bridge/docs/start.js HTTP/1.1\r\nHost: x\r\n\r\n");
  });
const withLimits = (functions: Record<string, string>) => startBridge({ worker: false, functions });

/** Asks for what is large, again and again, and reads nothing of it. */
const askAndNotRead = async (bridge: Bridge) => {
  const socket = await open(bridge);
  socket.pause();
  for (const path of ["docs/swagger-ui-bundle.js", "openapi.json", "asyncapi.json"])
    socket.write(`GET /api/socket-bridge/${path} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(8));
};

const megabytes = () => process.memoryUsage().arrayBuffers / 1e6;

describe("connections", () => {
  test("one that sends its headers drop by drop, or none at all, is cut", async () => {
    const bridge = await withLimits({ HTTP_HEADERS_TIMEOUT_MS: "500" });
    for (const [text, drip] of [
      [HEAD, "X-A: b\r\n"],
      ["", undefined],
      ["GET", undefined],
    ] as const) {
      const { answer, ms } = await untilClosed(bridge, text, drip);
      expect(answer).toMatch(/^HTTP\/1.1 408 /);
      expect(ms).toBeGreaterThan(400);
      expect(ms).toBeLessThan(5000);
    }
    expect((await bridge.get("/health")).status).toBe(503);
  });

  test("one that sends its body drop by drop is cut, and changes nothing", async () => {
    const bridge = await withLimits({ HTTP_REQUEST_TIMEOUT_MS: "700" });
    const head = `${HEAD}Authorization: Bearer ${tokens.crew}\r\nContent-Type: application/json\r\n`;
    for (const [length, drip] of [
      ["Content-Length: 10000\r\n\r\n{", " "],
      ["Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"],
    ]) {
      const { answer, ms } = await untilClosed(bridge, `${head}${length}`, drip);
      expect(answer).toMatch(/^HTTP\/1.1 408 /);
      expect(ms).toBeLessThan(5000);
    }
    expect((await bridge.get("/status")).body["backlog"]).toMatchObject({ unsettled: 0 });
    expect(bridge.logs.filter((line) => line.level === "error")).toEqual([]);
  });

  test("headers that are too large are answered 431", async () => {
    const bridge = await withLimits({ HTTP_MAX_HEADER_BYTES: "4096" });
    const { answer } = await untilClosed(bridge, `${HEAD}X-A: ${"x".repeat(5000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1.1 431 /);
    expect((await bridge.get("/status", { "X-A": "x".repeat(2000) })).status).toBe(200);
  });

  test("a request that is not HTTP gets 400 and is disconnected", async () => {
    const bridge = await withLimits({});
    for (const text of [
      "\u0016\u0003\u0001\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ])
      expect((await untilClosed(bridge, text)).answer).toMatch(/^HTTP\/1.1 400 /);
  });

  test("beyond HTTP_MAX_CONNECTIONS, and for each address, further ones are closed, and those that are there go on", async () => {
    for (const limit of ["HTTP_MAX_CONNECTIONS", "HTTP_MAX_CONNECTIONS_PER_ADDRESS"]) {
      const bridge = await withLimits({ [limit]: "3" });
      const sockets = [await open(bridge), await open(bridge), await open(bridge)];
      expect(await Promise.all(sockets.map(isServed)), limit).toEqual([true, true, true]);
      expect(await isServed(await open(bridge)), limit).toBe(false);
      expect(await Promise.all(sockets.map(isServed)), limit).toEqual([true, true, true]);
      sockets[0]?.destroy();
      await until("a place is free again", async () => await isServed(await open(bridge)));
    }
  });

  test("those who ask for the docs, need no token, and read nothing do not fill the memory", async () => {
    const bridge = await withLimits({});
    const before = megabytes();
    await Promise.all(Array.from({ length: 40 }, () => askAndNotRead(bridge)));
    for (let i = 0; i < 3; i += 1) expect((await bridge.get("/docs/swagger-ui-bundle.js")).status).toBe(200);
    expect(megabytes() - before).toBeLessThan(40);
  });

  test("one that stands still for HTTP_IDLE_TIMEOUT_MS since its client does not read is cut", async () => {
    const bridge = await withLimits({ HTTP_IDLE_TIMEOUT_MS: "500", HTTP_MAX_CONNECTIONS: "1" });
    await askAndNotRead(bridge);
    expect(await isServed(await open(bridge))).toBe(false);
    await until("its place is free again", async () => await isServed(await open(bridge)));
  });

  test("a request that waits for its command outlives the limits on slow requests", async () => {
    const bridge = await withLimits({ HTTP_REQUEST_TIMEOUT_MS: "500", HTTP_HEADERS_TIMEOUT_MS: "500" });
    const answer = await bridge.post("/units/status", { unit_id: "1", status: "enroute" }, { Prefer: "wait=2" });
    expect(answer.status).toBe(202);
  });
});

test("SIGHUP: a secret in a file is read again, without a restart; one that cannot be used changes nothing", async () => {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-reload-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, "secret");
  const secrets = ["the first secret, of forty characters...", "the second secret, of forty characters.."] as const;
  const [before, after] = await Promise.all(secrets.map((secret) => signTokens(secret)));
  writeFileSync(file, secrets[0]);
  const freeHere = String(await freePort());
  const status = async (token: string | undefined) => {
    const headers = { Authorization: `Bearer ${token}` };
    return (await fetch(`http://127.0.0.1:${freeHere}/api/socket-bridge/units`, { headers })).status;
  };
  const host = await startProcess({
    name: "functions",
    script: "functions/hosts/node.ts",
    output: join(dir, "functions.log"),
    env: {
      ...{ REDIS_URL: inject("redisUrl"), REDIS_PREFIX: freshPrefix(), JWT_SECRET: undefined, JWT_SECRET_FILE: file },
      ...{ PORT: freeHere, LOG_FILE: undefined },
    },
    readyWhen: async () => (await status(before?.admin)) === 200,
  });
  onTestFinished(async () => void (await host.stop()));
  writeFileSync(file, "too short");
  host.kill("SIGHUP");
  await until("it is refused", () => host.tail(5).includes('"problems":'));
  expect(await status(before?.admin)).toBe(200);
  writeFileSync(file, secrets[1]);
  host.kill("SIGHUP");
  await until("the new secret signs", async () => (await status(after?.admin)) === 200);
  expect(await status(before?.admin)).toBe(401);
  expect(host.tail(50)).not.toContain(secrets[1]);
});
