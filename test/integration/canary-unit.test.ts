import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, inject, onTestFinished, test } from "vitest";
import { functionsEnv } from "../../functions/config/node-config.ts";
import { startFunctions } from "../../functions/hosts/node.ts";
import { parseConfig } from "../../shared/config/config.ts";
import type { Problem } from "../../shared/health/problems.ts";
import { until } from "../../tools/support/until.ts";
import { type Bridge, JWT_SECRET, startBridge, tokens } from "../support/bridge.ts";
import { keptLog } from "../support/log.ts";
import { parseMetrics } from "../support/metrics.ts";

const CANARY = { CANARY_UNIT: "TEST-1", CANARY_EVERY_S: "1" };

const metricsOf = async (bridge: Bridge) =>
  parseMetrics(await (await fetch(`http://127.0.0.1:${bridge.worker()?.port}/metrics`)).text());
const problemIn = async (bridge: Bridge) => {
  const { body } = await bridge.get("/health");
  return (body["problems"] as Problem[]).find(({ code }) => code === "canary-missed");
};

test("the canary goes the whole way again and again; one that does not arrive is counted, a problem, and no dead letter", async () => {
  const bridge = await startBridge({ cad: { character: "modern" }, worker: CANARY });
  const delivered = 'socket_bridge_canary_seconds_count{from="outbox"}';
  await until("two arrived", async () => ((await metricsOf(bridge)).get(delivered) ?? 0) >= 2);
  const arrived = bridge.cad.ledger.entries().filter(({ event }) => event === "unit:status");
  expect(arrived[0]?.payload).toMatchObject({ unitId: "TEST-1", status: "available" });

  bridge.cad.switches.reject = 1;
  await until("it is a problem", async () => (await problemIn(bridge)) !== undefined);
  const missed = 'socket_bridge_canary_total{result="missed",from="outbox"}';
  expect((await metricsOf(bridge)).get(missed)).toBeGreaterThanOrEqual(3);
  bridge.cad.switches.reject = 0;
  await until("it is none any more", async () => (await problemIn(bridge)) === undefined);
  expect((await bridge.get("/dead-letters")).body["dead_letters"]).toEqual([]);
});

test("with CANARY_URL it begins at the functions: that they are gone, or refuse it, is a problem until they are back", async () => {
  const bridge = await startBridge({ cad: { character: "modern" }, worker: false });
  const { log } = keptLog();
  const env = { REDIS_URL: inject("redisUrl"), REDIS_PREFIX: bridge.prefix, JWT_SECRET };
  const startOn = (port: number) => startFunctions(parseConfig(functionsEnv, { ...env, PORT: String(port) }), log);
  let functions = await startOn(0);
  onTestFinished(() => functions.stop());
  const dir = await mkdtemp(join(tmpdir(), "socket-bridge-canary-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, "token");
  writeFileSync(file, `${tokens.crew}\n`);
  const { port } = functions;
  const CANARY_URL = `http://127.0.0.1:${port}/api/socket-bridge`;
  await bridge.startWorker({ ...CANARY, CANARY_URL, CANARY_TOKEN_FILE: file });

  const delivered = 'socket_bridge_canary_total{result="delivered",from="http"}';
  await until("two arrived", async () => ((await metricsOf(bridge)).get(delivered) ?? 0) >= 2);
  const [sent] = bridge.cad.ledger.entries().filter(({ event }) => event === "unit:status");
  expect(sent?.payload).toMatchObject({ unitId: "TEST-1", context: { role: "crew" } });
  const { body } = await bridge.get("/audit?limit=100");
  expect(JSON.stringify(body)).toContain("POST /units/status");

  await functions.stop();
  // Three in a row, one each second, and what an answer takes.
  const problem = await until("it is a problem", () => problemIn(bridge), 10_000);
  expect(problem.message).toContain("sent to CANARY_URL, were not delivered (the functions cannot be reached");
  functions = await startOn(port);
  await until("it is none any more", async () => (await problemIn(bridge)) === undefined, 10_000);

  writeFileSync(file, "no-token-of-theirs\n");
  const refused = await until("it is a problem again", () => problemIn(bridge), 10_000);
  expect(refused.message).toContain("the functions answered 401 (unauthenticated)");
  writeFileSync(file, tokens.crew);
  await until("a token that is good again resolves it", async () => (await problemIn(bridge)) === undefined, 10_000);
  expect(JSON.stringify(bridge.logs)).not.toContain(tokens.crew);
});
