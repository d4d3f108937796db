import { expect, inject, test } from "vitest";
import { outboxKeys } from "../../shared/redis/keys.ts";
import { STORE_FORMAT } from "../../shared/redis/store-identity.ts";
import { freePort } from "../../tools/setup/free-port.ts";
import { runScript } from "../../tools/setup/run-script.ts";
import { until } from "../../tools/support/until.ts";
import { CAD_TOKEN, JWT_SECRET, startBridge, tokens } from "../support/bridge.ts";
import { freshReceiver, writeRoutes } from "../support/destinations.ts";
import { checkOut, hasCommit } from "../support/old-version.ts";
import { testRedis } from "../support/redis.ts";

/** The last version in which each command came to the worker as a job of its own, with no number in the store. */
const OLD = "09ba6f0d9a76e310990639d692e01c1121f0d700";
const UNITS = ["A1", "A2", "A3", "A4", "A5"];

const WORDS = ["enroute", "onscene", "transporting", "available"];

const status = (unit_id: string, n: number) => ({
  unit_id,
  status: WORDS[Math.floor(n / UNITS.length) % WORDS.length],
});

test.skipIf(!hasCommit(OLD))(
  `what an older version accepted (${OLD.slice(0, 7)}; skipped in a checkout without history) is delivered in order after the upgrade`,
  { timeout: 90_000 },
  async () => {
    const receiver = await freshReceiver();
    const bridge = await startBridge({ worker: false, cad: { character: "modern" } });
    const old = checkOut(OLD);
    const port = await freePort();
    const shared = { REDIS_URL: inject("redisUrl"), REDIS_PREFIX: bridge.prefix };
    // The new version wants a destination to be cleared for PHI; the old one has no such field.
    const routesFor = (more: object) => ({
      ROUTES_FILE: writeRoutes({
        destinations: [{ id: "epcr", url: receiver.url, secret: receiver.secret, retry_s: [0.1, 0.5, 1, 2], ...more }],
        rules: [{ to: "epcr", events: ["unit:status:updated"] }],
      }),
      ALLOW_PRIVATE_DESTINATIONS: "true",
    });
    const functions = await old.start("functions/hosts/node.ts", { ...shared, PORT: String(port), JWT_SECRET });
    const worker = await old.start("worker/main.ts", {
      ...shared,
      ...routesFor({}),
      CAD_BACKEND_URL: bridge.cad.url,
      CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN,
      WORKER_PORT: "0",
    });

    const ids: string[] = [];
    const send = async (path: string, body: unknown, key?: string) => {
      const response = await fetch(`http://127.0.0.1:${port}/api/socket-bridge${path}`, {
        method: "POST",
        headers: {
          Authorization: `Bearer ${tokens.admin}`,
          "Content-Type": "application/json",
          ...(key && { "Idempotency-Key": key }),
        },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(10_000),
      });
      expect(response.status).toBe(202);
      const { command_id: id } = (await response.json()) as { command_id: string };
      ids.push(id);
      return id;
    };
    // Some are settled, and their webhooks wait for a destination that fails.
    receiver.answer(500);
    for (let n = 0; n < 10; n += 1) await send("/units/status", status(UNITS[n % 5] ?? "", n));
    await bridge.settled(ids.at(-1));
    await until("a webhook was refused", () => receiver.received.length > 0);
    // Some are with a CAD that hangs when the worker is killed, and some come after that.
    bridge.cad.switches.hang = true;
    for (let n = 10; n < 20; n += 1) await send("/units/status", status(UNITS[n % 5] ?? "", n));
    worker.kill("SIGKILL");
    await worker.exited;
    const repeated = await send("/units/status", status("A1", 20), "key-of-the-old-version");
    for (let n = 21; n < 60; n += 1) await send("/units/status", status(UNITS[n % 5] ?? "", n));
    for (let n = 0; n < 5; n += 1) await send("/units/location", { unit_id: "A1", latitude: n, longitude: 0 });
    await functions.stop();

    receiver.answer(204);
    bridge.cad.switches.hang = false;
    await bridge.startWorker(routesFor({ phi: true }));
    // One more of the new version comes behind what the old one left, and a repeat is recognized.
    const again = await bridge.post("/units/status", status("A1", 20), { "Idempotency-Key": "key-of-the-old-version" });
    expect([again.status, again.body["command_id"]]).toEqual([202, repeated]);
    ids.push(String((await bridge.post("/units/status", status("A1", 60))).body["command_id"]));
    const states: Record<string, number> = {};
    for (const id of ids) {
      const receipt = await bridge.settled(id, 60_000);
      states[receipt.status] = (states[receipt.status] ?? 0) + 1;
    }
    expect(states).toEqual({ confirmed: 62, superseded: 4 });
    expect(bridge.cad.ledger.summary()).toMatchObject({ violations: 0, appliedViolations: 0, commands: 62 });
    const webhooks = () => new Set(receiver.accepted().map((request) => request.id)).size;
    await until("every status was posted", () => webhooks() === 61, 20_000);
    expect((await bridge.get("/status")).body).toMatchObject({ unaccounted: 0, backlog: { dead_letters: 0 } });
    expect(await testRedis().hget(outboxKeys(bridge.prefix).store, "format")).toBe(String(STORE_FORMAT));
    const verified = await runScript("tools/audit/audit.ts", ["verify"], shared).ended;
    expect(verified).toMatchObject({ code: 0 });
  },
);

test("a store that a newer version wrote is taken by no worker of this one, which says so", async () => {
  const bridge = await startBridge({ worker: false });
  const redis = testRedis();
  const { store } = outboxKeys(bridge.prefix);
  await redis.hset(store, { id: "x", cad: "", url: bridge.cad.url, format: STORE_FORMAT + 1 });
  const worker = await bridge.startWorker();
  const problems = async () => {
    const response = await fetch(`http://127.0.0.1:${worker.port}/health`);
    return ((await response.json()) as { problems: { code: string }[] }).problems.map(({ code }) => code);
  };
  await until("the worker says why it stands by", async () => (await problems()).includes("store-newer"));
  expect(bridge.cad.ledger.summary().received).toBe(0);
  expect(await redis.get(outboxKeys(bridge.prefix).lease)).toBeNull();
  await redis.hset(store, "format", STORE_FORMAT);
  await bridge.healthy();
  expect(await problems()).not.toContain("store-newer");
});
