import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";
import { HEARTBEAT_KEPT_MS } from "../../shared/health/worker-health.ts";
import { until } from "../../tools/support/until.ts";
import { openAdmin } from "../support/admin-page.ts";
import { startBridge, tokens } from "../support/bridge.ts";
import { becomes, freshReceiver, problems, tell, writeRoutes } from "../support/destinations.ts";
import { ownRedis } from "../support/own-redis.ts";

const TEST_MS = 90_000;

test("names each fault of the runbook within 5 s, and says that nothing was lost", { timeout: TEST_MS }, async (t) => {
  const redis = await ownRedis();
  const bridge = await startBridge({ redisUrl: redis.url, worker: false, functions: { MAX_BACKLOG: "10" } });
  const admin = new Redis(redis.url);
  // It is stopped by this test.
  admin.on("error", () => undefined);
  onTestFinished(() => admin.disconnect());
  const receiver = await freshReceiver();
  const destination = { id: "board", url: receiver.url, secret: receiver.secret, retry_s: [0.05, 60] };
  const rules = [{ to: "board", events: ["unit:*"] }];
  const env = {
    ROUTES_FILE: writeRoutes({ destinations: [destination], rules }),
    ALLOW_PRIVATE_DESTINATIONS: "true",
    WORKER_INSTANCE: "one",
  };
  const { page, complaints, names } = await openAdmin(bridge, "admin", t.skip);
  const well = () => page.waitForSelector(".state.healthy", { timeout: 10_000 });
  const health = (code: string) =>
    until(code, async () => (await problems(bridge)).problems.some((p) => p.code === code), 15_000);
  const key = `{${bridge.prefix}}:cad:health`;

  await names("worker-missing");
  for (let i = 0; i < 10; i += 1) await bridge.post("/units/status", { unit_id: `M${i % 2}`, status: "enroute" });
  await names("backlog-full");
  await page.waitForSelector("text=10 commands waiting");
  await page.waitForSelector(".chips >> text=unit M1");
  expect(await page.textContent("#conservation")).toContain("10 accepted = 0 settled + 10 waiting");

  const worker = await bridge.startWorker(env);
  await well();
  await page.waitForSelector("#conservation >> text=Nothing is lost. 10 accepted = 10 settled + 0 waiting");

  receiver.answer(410);
  tell(bridge, "A", 1);
  await becomes(bridge, "board", (d) => d.state === "disabled");
  await names("destination-disabled");
  receiver.answer(204);
  await bridge.post("/destinations/board/enable", {});
  await well();

  await bridge.cad.stop();
  await names("cad-disconnected");
  expect(await page.textContent(".state")).toContain("No command: they wait in Redis");

  await worker.stop();
  await names("worker-stopped");
  const stopped = JSON.parse((await admin.get(key)) ?? "{}") as Record<string, unknown>;
  const beat = { ...stopped, stopped: false, ready: true, ready_seconds: 500, consuming: true, problems: [] };
  const report = (more: object, ageMs = 0) =>
    admin.set(key, JSON.stringify({ ...beat, ...more }), "PX", HEARTBEAT_KEPT_MS - ageMs);
  await report({}, 20_000);
  await names("worker-silent");
  await admin.set(`{${bridge.prefix}}:cad:lease`, "1:one", "PX", 60_000);
  await report({ consuming: false });
  await names("worker-not-consuming");

  await admin.config("SET", "maxmemory", "1mb");
  await health("redis-full");
  await names("redis-full");
  await admin.config("SET", "maxmemory", "0");
  await redis.stop();
  await names("redis-unavailable");
  await redis.restart();
  expect(complaints).toEqual([]);
});

describe("each role", () => {
  test(
    "crew sees Now and a command's story, and asks for nothing that it may not have",
    { timeout: TEST_MS },
    async (t) => {
      const bridge = await startBridge();
      const asked = await bridge.deliver("/units/status", { unit_id: "M1", status: "enroute" });
      const { page, complaints } = await openAdmin(bridge, "crew", t.skip);
      const refused: string[] = [];
      page.on("response", (response) => {
        if ([401, 403].includes(response.status())) refused.push(response.url());
      });
      await page.waitForSelector(".state.healthy");
      expect(await page.locator("nav a").allTextContents()).toEqual(["Now", "Commands", "Units and incidents"]);
      await page.click("text=Commands");
      await page.fill("input[name=id]", asked.command_id);
      await page.keyboard.press("Enter");
      await page.waitForSelector(".story >> text=confirmed");
      // A view that is not for the role is not reached by its address either.
      await page.evaluate("location.hash = 'dead-letters'");
      await page.waitForSelector(".state");
      expect(refused).toEqual([]);
      expect(complaints).toEqual([]);
    },
  );

  test(
    "a token that is not valid is refused, is in no address or storage, and is gone with a reload",
    { timeout: TEST_MS },
    async (t) => {
      const bridge = await startBridge({ worker: false });
      const { page } = await openAdmin(bridge, "admin", t.skip);
      const kept = await page.evaluate(
        "JSON.stringify([location.href, localStorage, sessionStorage, document.cookie])",
      );
      expect(kept).not.toContain(tokens.admin.slice(0, 20));
      await page.reload();
      await page.fill("input[name=token]", "not.a.token");
      await page.click("text=Sign in");
      await page.waitForSelector("[role=alert]:has-text('token')");
      expect(await page.locator("nav").count()).toBe(0);
    },
  );
});
