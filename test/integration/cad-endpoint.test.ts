import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, request as requestHttp, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { parseConfig } from "../../shared/config/config.ts";
import { fromDisk } from "../../shared/config/program.ts";
import type { Cad } from "../../tools/simulator/cad.ts";
import { until } from "../../tools/support/until.ts";
import { CAD_TOKEN, startBridge } from "../support/bridge.ts";
import { makeCertificate } from "../support/certificate.ts";
import { workerEnv } from "../../worker/config/worker-env.ts";

/** A proxy before a CAD: what it lets through, and where it passes it on. Not a library's: it is the thing under test. */
interface Gateway {
  /** The status that a request gets that is not let through. */
  refuses(request: IncomingMessage): number | undefined;
  /** The path at the CAD. */
  path(url: string): string;
  /** WebSockets get through. */
  upgrades?: boolean;
}

function proxy(server: Server, cad: Cad, gateway: Gateway): { upgraded(): number; polled(): number } {
  const count = { upgraded: 0, polled: 0 };
  const onward = (request: IncomingMessage) =>
    requestHttp(`${cad.url}${gateway.path(request.url ?? "/")}`, { method: request.method, headers: request.headers });
  server.on("request", (request, response) => {
    const status = gateway.refuses(request);
    if (status !== undefined) return void response.writeHead(status).end();
    count.polled += 1;
    const asked = onward(request);
    asked.on("response", (answer) => answer.pipe(response.writeHead(answer.statusCode ?? 502, answer.headers)));
    asked.on("error", () => response.destroy());
    response.on("close", () => asked.destroy());
    request.pipe(asked);
  });
  server.on("upgrade", (request, socket, head) => {
    const status = gateway.upgrades === false ? 400 : gateway.refuses(request);
    if (status !== undefined) return void socket.end(`HTTP/1.1 ${status} No\r\nConnection: close\r\n\r\n`);
    count.upgraded += 1;
    const asked = onward(request);
    socket.on("error", () => asked.destroy());
    asked.on("error", () => socket.destroy());
    asked.on("upgrade", (answer, behind, first) => {
      const lines = Object.entries(answer.headers).map(([name, value]) => `${name}: ${String(value)}`);
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join("\r\n")}\r\n\r\n`);
      behind.on("error", () => socket.destroy());
      socket.on("close", () => behind.destroy());
      socket.write(first);
      behind.write(head);
      behind.pipe(socket).pipe(behind);
    });
    asked.end();
  });
  return { upgraded: () => count.upgraded, polled: () => count.polled };
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function bridgeBehind(server: Server, gateway: Partial<Gateway>, scheme = "http") {
  const bridge = await startBridge({ cad: { character: "modern" }, worker: false });
  const through = proxy(server, bridge.cad, { refuses: () => undefined, path: (url) => url, ...gateway });
  const url = `${scheme}://localhost:${await listen(server)}`;
  return { bridge, url, through };
}
const STATUS = { unit_id: "M1", status: "enroute" };

test("a CAD behind a path and a gateway that wants a header and a query is delivered to", async () => {
  const { bridge, url } = await bridgeBehind(createServer(), {
    refuses: ({ headers, url: asked = "" }) =>
      headers["x-api-key"] === "k-1" && asked.includes("tenant=north") ? undefined : 403,
    path: (asked) => asked.replace("/cad/socket.io/", "/socket.io/"),
  });
  const env = { CAD_BACKEND_URL: url, CAD_SOCKET_PATH: "/cad/socket.io" };
  await bridge.startWorker({ ...env, CAD_HEADERS: '{"X-Api-Key":"k-1"}', CAD_QUERY: "tenant=north" });
  expect(await bridge.deliver("/units/status", STATUS)).toMatchObject({ status: "confirmed" });
});

test("a gateway that refuses is reported with its HTTP status", async () => {
  const { bridge, url } = await bridgeBehind(createServer(), { refuses: () => 403 });
  await bridge.startWorker({ CAD_BACKEND_URL: url });
  await until("the status is reported", async () => {
    const { body } = await bridge.get("/health");
    return JSON.stringify(body).includes("HTTP 403");
  });
});

test("where no WebSocket gets through, polling carries commands in both directions", async () => {
  const { bridge, url, through } = await bridgeBehind(createServer(), { upgrades: false });
  await bridge.startWorker({ CAD_BACKEND_URL: url });
  expect(await bridge.deliver("/units/status", STATUS)).toMatchObject({ status: "confirmed" });
  expect(through.polled()).toBeGreaterThan(3);
});

test("CAD_TRANSPORTS=websocket never polls", async () => {
  const { bridge, url, through } = await bridgeBehind(createServer(), { upgrades: false });
  await bridge.startWorker({ CAD_BACKEND_URL: url, CAD_TRANSPORTS: "websocket" });
  await until("it has failed", () => bridge.logs.some((line) => String(line.fields["reason"]).includes("HTTP 400")));
  expect(through.polled()).toBe(0);
});

test("CAD_TRANSPORTS=polling,websocket begins by polling, and changes over", async () => {
  const { bridge, url, through } = await bridgeBehind(createServer(), {});
  await bridge.startWorker({ CAD_BACKEND_URL: url, CAD_TRANSPORTS: "polling,websocket" });
  expect(await bridge.deliver("/units/status", STATUS)).toMatchObject({ status: "confirmed" });
  await until("it has changed over", () => through.upgraded() === 1 && through.polled() > 0);
});

function certificates() {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-cad-tls-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const { cert, key } = makeCertificate(dir);
  return { cert, key, pem: { cert: readFileSync(cert), key: readFileSync(key) } };
}

test.each([["websocket"], ["polling"]])(
  "a private authority and a client certificate open a CAD that asks for both (%s)",
  async (transport) => {
    const { cert, key, pem } = certificates();
    const server = createTlsServer({ ...pem, ca: pem.cert, requestCert: true, rejectUnauthorized: true });
    const { bridge, url } = await bridgeBehind(server, {}, "https");
    const files = { CAD_TLS_CA_FILE: cert, CAD_TLS_CERT_FILE: cert, CAD_TLS_KEY_FILE: key };
    await bridge.startWorker({ CAD_BACKEND_URL: url, CAD_TRANSPORTS: transport, ...files });
    expect(await bridge.deliver("/units/status", STATUS)).toMatchObject({ status: "confirmed" });
  },
);

test("a certificate of nobody known is reported as that", async () => {
  const { bridge, url } = await bridgeBehind(createTlsServer(certificates().pem), {}, "https");
  await bridge.startWorker({ CAD_BACKEND_URL: url });
  await until("it is reported", () =>
    bridge.logs.some((line) => /TLS failed: .*SELF_SIGNED/.test(String(line.fields["reason"]))),
  );
});

const BASE = {
  REDIS_URL: "redis://localhost",
  CAD_BACKEND_URL: "http://localhost:1",
  CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN,
};
test.each<[what: string, env: Record<string, string>, said: RegExp]>([
  ["headers that are no JSON", { CAD_HEADERS: "X-Api-Key: secret" }, /^CAD_HEADERS: must be a JSON object/m],
  ["a header that cannot be sent", { CAD_HEADERS: '{"X-A":"se\\ncret"}' }, /^CAD_HEADERS: holds a header/m],
  ["a header of the connection", { CAD_HEADERS: '{"Upgrade":"secret"}' }, /^CAD_HEADERS: holds a header/m],
  ["Engine.IO's own parameters", { CAD_QUERY: "EIO=secret" }, /^CAD_QUERY: must not hold EIO/m],
  ["an unknown transport", { CAD_TRANSPORTS: "secret" }, /^CAD_TRANSPORTS/m],
  ["a path without a slash", { CAD_SOCKET_PATH: "secret" }, /^CAD_SOCKET_PATH: must be a path/m],
  ["a key without its certificate", { CAD_TLS_KEY: "-----BEGIN PRIVATE KEY" }, /CAD_TLS_KEY: .* without CAD_TLS_CERT/],
  ["a query in the URL", { CAD_BACKEND_URL: "http://localhost:1/?secret=1" }, /CAD_BACKEND_URL: .*CAD_QUERY/],
])("%s is refused at the start, without its value", (_what, env, said) => {
  let message = "";
  try {
    parseConfig(workerEnv, { ...BASE, ...env }, fromDisk);
  } catch (error) {
    message = (error as Error).message.replaceAll("  ", "");
  }
  expect(message).toMatch(said);
  expect(message).not.toContain("secret");
});
