import { setTimeout as pause } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { until } from "../../tools/support/until.ts";
import { startBridge } from "../support/bridge.ts";
import { clientOf, startReplicated } from "../support/sentinel.ts";

const STATUS = { unit_id: "1", status: "enroute" };

test("Sentinel: the master is killed under load and returns; nothing accepted is lost or overtaken", async () => {
  const { master, replica, url, restartMaster } = await startReplicated();
  const bridge = await startBridge({ redisUrl: url, cad: { character: "modern" } });
  const accepted: unknown[] = [];
  const over = new AbortController();
  onTestFinished(() => over.abort());
  async function post(i: number): Promise<void> {
    const { status, body } = await bridge.post("/units/status", { ...STATUS, unit_id: `u${i % 20}` });
    if (status === 202) accepted.push(body["command_id"]);
    else expect(status).toBe(503);
  }
  async function load(): Promise<void> {
    const asked: Promise<void>[] = [];
    for (let i = 0; !over.signal.aborted; i += 1) {
      asked.push(post(i));
      await pause(20);
    }
    await Promise.all(asked);
  }
  const loading = load();
  await until("there is load", () => accepted.length > 100);
  master.process.kill("SIGKILL");
  await master.process.exited;
  const before = accepted.length;
  const promoted = clientOf(replica.url);
  await until(
    "the replica is promoted",
    async () => (await promoted.info("replication")).includes("role:master"),
    20_000,
  );
  await until("it accepts again", () => accepted.length > before + 20, 10_000);
  const old = clientOf((await restartMaster()).url);
  const returned = accepted.length;
  await until(
    "the old master is a replica",
    async () => (await old.info("replication")).includes("role:slave"),
    30_000,
  );
  await until("it accepts all the time", () => accepted.length > returned + 20, 10_000);
  over.abort();
  await loading;
  for (const id of accepted) expect(await bridge.settled(id, 20_000)).toMatchObject({ status: "confirmed" });
  expect(bridge.cad.ledger.summary()).toMatchObject({ violations: 0 });
}, 120_000);

test("Sentinels with a password of their own: the wrong one is named, the right one works", async () => {
  const { url } = await startReplicated("hush");
  const functions = { REDIS_SENTINEL_PASSWORD: "hush" };
  const bridge = await startBridge({ redisUrl: url, cad: { character: "modern" }, functions, worker: functions });
  expect(await bridge.deliver("/units/status", STATUS)).toMatchObject({ status: "confirmed" });
  const other = await startBridge({ redisUrl: url, worker: false });
  await until("it says what is wrong", async () => {
    const { status, body } = await other.post("/units/status", STATUS);
    expect(status).toBe(503);
    return body["code"] === "redis-refused";
  });
}, 60_000);
