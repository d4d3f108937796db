import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { found, type Found, PROBLEMS, type ProblemCode } from "../../shared/health/problems.ts";
import { HEARTBEAT_KEPT_MS } from "../../shared/health/worker-health.ts";
import { until } from "../../tools/support/until.ts";
import { openAdmin } from "../support/admin-page.ts";
import { type Bridge, startBridge } from "../support/bridge.ts";
import { freshReceiver, writeRoutes } from "../support/destinations.ts";
import { ownRedis } from "../support/own-redis.ts";

/**
 * How each fault comes about here: `caused` for real; `stored` as the worker's heartbeat says it; `elsewhere`: caused for real in
 * admin-page.test.ts. The rest is not for the page: `standby`, which only a worker that stands by says of itself, and `doctor`.
 * `shown`: takes another bridge or Redis; the tests of the health cause it, and admin-views.test.ts has the page name each code.
 */
const HOW: Record<ProblemCode, "caused" | "stored" | "elsewhere" | "shown" | "standby" | "doctor"> = {
  "redis-unavailable": "elsewhere",
  "redis-refused": "caused",
  "redis-unsuitable": "shown",
  "redis-moving": "shown",
  "redis-emptied": "stored",
  "wrong-cad": "standby",
  "store-newer": "standby",
  "redis-full": "elsewhere",
  "backlog-full": "elsewhere",
  "backlog-reserved": "caused",
  "worker-missing": "elsewhere",
  "worker-unverified": "shown",
  "worker-stopped": "elsewhere",
  "worker-silent": "elsewhere",
  "worker-not-consuming": "elsewhere",
  "commands-neglected": "stored",
  "commands-unaccounted": "caused",
  "cad-disconnected": "elsewhere",
  "move-pending": "stored",
  "cad-not-confirming": "stored",
  "event-never-echoed": "stored",
  "cad-breaks-connection": "stored",
  "canary-missed": "caused",
  "payload-key-missing": "stored",
  "forged-record": "stored",
  "audit-chain-broken": "stored",
  "journal-standstill": "stored",
  "handler-stalled": "stored",
  "destination-paused": "stored",
  "destination-disabled": "caused",
  "destination-removed": "stored",
  "routes-refused": "caused",
  "destination-key-missing": "stored",
  "destination-backlog-full": "stored",
  "destination-dead-letters": "caused",
  "destination-unreachable": "doctor",
  "dead-letters": "doctor",
  "dead-letter-held": "caused",
  "redis-too-old": "doctor",
  "redis-not-durable": "caused",
  "redis-evicts": "caused",
  "redis-memory-short": "caused",
  "clock-skew": "stored",
  "payloads-unsealed": "doctor",
};
const codesThat = (how: (typeof HOW)[ProblemCode]) =>
  (Object.keys(HOW) as ProblemCode[]).filter((code) => HOW[code] === how);

/** With these the others could not come about. */
const LATER = new Set<ProblemCode>(["redis-refused", "redis-memory-short"]);

const plain = (text: string) => text.replaceAll("`", "");

async function isSaid(bridge: Bridge, code: ProblemCode): Promise<boolean> {
  const { body } = await bridge.get("/status");
  const said = [...(body["problems"] as Found[]), ...(body["redis_problems"] as Found[])];
  return said.some((one) => one.code === code);
}

test(
  "each fault of the runbook, caused or stored, is named within 5 s with its hint and since when",
  { timeout: 120_000 },
  async (t) => {
    const redis = await ownRedis();
    const bridge = await startBridge({
      redisUrl: redis.url,
      worker: false,
      cad: { character: "modern" },
      functions: { MAX_BACKLOG: "20", BACKLOG_RESERVE_PERCENT: "50" },
    });
    const admin = new Redis(redis.url);
    admin.on("error", () => undefined);
    onTestFinished(() => admin.disconnect());
    const key = (name: string) => `{${bridge.prefix}}:cad:${name}`;
    const { page, complaints, names } = await openAdmin(bridge, "admin", t.skip);

    /** Beside its code: what to do, and since when. */
    async function shows(code: ProblemCode): Promise<void> {
      await names(code);
      const shown = page.locator(`[data-code="${code}"]`).first();
      const hint = (await shown.textContent()) ?? "";
      expect(plain(hint)).toContain(plain(PROBLEMS[code].hint));
      // Of the first one it stands beside the headline.
      expect(`${hint} ${(await page.textContent("main")) ?? ""}`).toMatch(/Since \d/);
    }

    const [gone, bad] = await Promise.all([freshReceiver(), freshReceiver()]);
    const destinations = [
      { id: "gone", url: gone.url, secret: gone.secret, retry_s: [0.05] },
      { id: "bad", url: bad.url, secret: bad.secret, retry_s: [0.05] },
    ];
    const ROUTES_FILE = writeRoutes({ destinations, rules: [{ to: ["gone", "bad"], events: ["unit:*"] }] });
    const worker = await bridge.startWorker({
      ...{ ROUTES_FILE, ALLOW_PRIVATE_DESTINATIONS: "true", HOLD: "incidents/status", WORKER_INSTANCE: "one" },
      ...{ CANARY_UNIT: "TEST-1", CANARY_EVERY_S: "1" },
    });
    await page.waitForSelector(".state.healthy", { timeout: 15_000 });
    // Not before: the canary's own events go to them too.
    gone.answer(410);
    bad.answer(400);
    bridge.cad.broadcast("unit:status:updated", { unitId: "M1", status: "enroute" });
    bridge.cad.switches.reject = 1;
    // The first is refused and holds the others.
    for (let i = 0; i < 12; i += 1) {
      const body = { incident_id: "I1", status: "TRANSPORTING", user_id: `dispatcher-${i}` };
      expect(await bridge.post("/incidents/status", body)).toMatchObject({ status: 202 });
    }
    worker.refuseRoutes(2);
    await admin.hincrby(key("counts"), "accepted", 1);
    await admin.config("SET", "maxmemory-policy", "allkeys-lru");
    await admin.config("SET", "appendonly", "no");

    for (const code of codesThat("caused").filter((one) => !LATER.has(one))) {
      await until(`${code} is said`, () => isSaid(bridge, code), 20_000);
      await shows(code);
    }
    await admin.config("SET", "maxmemory-policy", "noeviction");
    const used = Number(/used_memory:(\d+)/.exec(await admin.info("memory"))?.[1]);
    await admin.config("SET", "maxmemory", String(Math.round(used * 1.17)));
    await shows("redis-memory-short");
    await admin.config("SET", "maxmemory", "0");
    await admin.acl("SETUSER", "default", "-get");
    await until("Redis refuses", async () =>
      JSON.stringify((await bridge.get("/health")).body).includes("redis-refused"),
    );
    await shows("redis-refused");
    await admin.acl("SETUSER", "default", "+get");
    await admin.config("SET", "maxmemory", "0");
    await worker.stop();

    const stopped = JSON.parse((await admin.get(key("health"))) ?? "{}") as Record<string, unknown>;
    await admin.set(key("lease"), "1:one", "PX", 120_000);
    const beat = { ...stopped, stopped: false, ready: true, ready_seconds: 500, consuming: true };
    const since = new Date(Date.now() - 60_000).toISOString();
    const params = {
      reason: "why",
      count: 3,
      event: "unit:status",
      events: "3 unit:status",
      handler: "h",
      last: "x",
      from: "outbox",
    };
    const stored = codesThat("stored").filter((code) => code !== "commands-neglected");
    const problems = stored.map((code) => ({ ...(found as (...args: unknown[]) => Found)(code, params), since }));
    await admin.set(key("health"), JSON.stringify({ ...beat, problems }), "PX", HEARTBEAT_KEPT_MS);
    for (const code of stored) await shows(code);

    // Runnable for two minutes, and nobody took it.
    const { body } = await bridge.post("/units/status", { unit_id: "M9", status: "enroute" });
    await admin.zadd(key("runnable"), Date.now() * 1000 - 120_000_000, String(body["command_id"]));
    await admin.set(key("health"), JSON.stringify({ ...beat, problems: [] }), "PX", HEARTBEAT_KEPT_MS);
    await shows("commands-neglected");
    expect(complaints).toEqual([]);
  },
);
