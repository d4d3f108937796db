import { createServer, request, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { parseConfig } from "../../shared/config/config.ts";
import { fromDisk } from "../../shared/config/program.ts";
import { lookAtCad } from "../../tools/doctor/cad.ts";
import { workerEnv } from "../../worker/config/worker-env.ts";
import { makeCertificate } from "../support/certificate.ts";
import { start, TOKEN } from "../support/simulated-cad.ts";

vi.setConfig({ testTimeout: 30_000 });

async function look(CAD_BACKEND_URL: string, more: Record<string, string> = {}) {
  const env = { REDIS_URL: "redis://localhost", CAD_BACKEND_AUTH_TOKEN: TOKEN, CAD_BACKEND_URL, ...more };
  const findings = await lookAtCad(parseConfig(workerEnv, { ...env, ALLOW_UNSEALED_PAYLOADS: "true" }, fromDisk));
  return findings.map((one) => (one.ok ? one.what : `${one.problem.code}: ${one.problem.message}`));
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
const serve = async (answer: RequestListener) => `http://127.0.0.1:${await listen(createServer(answer))}`;

test("a CAD that answers is reported with what carries the connection, and its clock", async () => {
  const cad = await start();
  const said = await look(cad.url);
  expect(said[0]).toBe(`the CAD accepts the token and answers at ${cad.url}, over websocket`);
  expect(said[1]).toMatch(/^the clock of the CAD is \d+ ms/);
});

test("a CAD that is reached by polling only is reported as that", async () => {
  const cad = await start();
  const noUpgrades = await serve((asked, answer) => {
    if (asked.headers.upgrade !== undefined) return void answer.writeHead(400).end();
    const onward = request(`${cad.url}${asked.url ?? ""}`, { method: asked.method, headers: asked.headers });
    onward.on("response", (said) => said.pipe(answer.writeHead(said.statusCode ?? 502, said.headers)));
    onward.on("error", () => answer.destroy());
    answer.on("close", () => onward.destroy());
    asked.pipe(onward);
  });
  expect((await look(noUpgrades))[0]).toMatch(/answers at .*, over polling, because websocket/);
});

test("a web page is not taken for a Socket.IO server", async () => {
  const page = await serve((_asked, answer) => answer.writeHead(200, { "Content-Type": "text/html" }).end("<html>"));
  const said = await look(page);
  expect(said[0]).toMatch(/^cad-disconnected: .*what answers is not a Socket\.IO server \(.*HTTP 200/);
  expect(said.filter((one) => one.startsWith("cad-"))).toHaveLength(1);
});

test("a wrong path is reported as no Socket.IO server, and CAD_SOCKET_PATH leads to the right one", async () => {
  const cad = await start();
  expect((await look(cad.url, { CAD_SOCKET_PATH: "/elsewhere" }))[0]).toMatch(/not a Socket\.IO server \(.*HTTP 404/);
});

test("a gateway that refuses is reported with its HTTP status", async () => {
  const said = await look(await serve((_asked, answer) => answer.writeHead(403).end()));
  expect(said[0]).toMatch(/^cad-disconnected: .*the server answered with HTTP 403/);
});

test("a certificate of nobody known is reported with what is wrong with it", async () => {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-doctor-tls-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const { cert, key } = makeCertificate(dir);
  const server = createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) }, (_asked, answer) =>
    answer.end(),
  );
  const url = `https://localhost:${await listen(server)}`;
  expect((await look(url))[0]).toMatch(/^cad-disconnected: .*TLS failed: .*SELF_SIGNED/);
  const trusted = await look(url, { CAD_TLS_CA_FILE: cert });
  expect(trusted[0]).toMatch(/not a Socket\.IO server/);
  expect(trusted[1]).toMatch(/^the clock of the CAD/);
});
