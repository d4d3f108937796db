import { describe, expect, onTestFinished, test } from "vitest";
import type { WorkerHealth } from "../../shared/health/worker-health.ts";
import { BRIDGE_EVENTS, type JournalEntry } from "../../shared/journal/entry.ts";
import { startProxy } from "../../tools/chaos/rig/proxy.ts";
import { type Bridge, type BridgeOptions, startBridge } from "../support/bridge.ts";
import { type JournalView, viewJournal } from "../support/journal.ts";
import { ownRedis } from "../support/own-redis.ts";
import { until } from "../../tools/support/until.ts";

const EVENT = "unit:status:updated";
const statusOf = (entry: JournalEntry) => (entry.payload as { status: string }).status;

async function healthOf(bridge: Bridge): Promise<WorkerHealth | undefined> {
  const answer = await fetch(`http://127.0.0.1:${bridge.worker()?.port}/health`);
  return ((await answer.json()) as { bridge: WorkerHealth | null }).bridge ?? undefined;
}

interface Scene {
  bridge: Bridge;
  journal: JournalView;
  /** Broadcasts the next so many, numbered on from the last. */
  broadcast(count: number): void;
  /** Waits until everything that was broadcast is in the journal, each once; answers with it in the journal's order. */
  complete(withinMs?: number): Promise<JournalEntry[]>;
  gaps(count?: number): Promise<{ from: string; to: string; reason: string }[]>;
  /** Waits until it is noted that everything until now is known. */
  noted(): Promise<void>;
  /** What the worker says of itself. */
  health(): Promise<WorkerHealth | undefined>;
  /** Waits until nothing is owed. */
  through(): Promise<void>;
}

async function scene(options: BridgeOptions = {}): Promise<Scene> {
  const bridge = await startBridge(options);
  const journal = viewJournal(bridge.prefix, options.redisUrl);
  let sent = 0;
  const found = async () => (await journal.entries()).filter((e) => e.event === EVENT);
  return {
    bridge,
    journal,
    broadcast(count) {
      for (let i = 0; i < count; i += 1) bridge.cad.broadcast(EVENT, { unitId: "M12", status: String((sent += 1)) });
    },
    async complete(withinMs) {
      await until("all is in the journal", async () => (await found()).length >= sent, withinMs);
      const entries = await found();
      const statuses = entries.map(statusOf).toSorted((a, b) => Number(a) - Number(b));
      expect(statuses).toEqual(Array.from({ length: sent }, (_, i) => String(i + 1)));
      return entries;
    },
    async gaps(count = 1) {
      const told = await journal.has(BRIDGE_EVENTS.gap, count);
      expect(told.map((e) => e.recovered)).toEqual(told.map(() => false));
      return told.map((e) => e.payload as { from: string; to: string; reason: string });
    },
    async noted() {
      const from = Date.now() * 1000;
      await until(
        "it is noted",
        async () => Number.parseInt((await journal.redis.get(journal.keys.heard)) ?? "0", 10) >= from,
      );
    },
    health: () => healthOf(bridge),
    through: async () => {
      await until("it is through", async () => (await healthOf(bridge))?.recovery.recovering === false);
    },
  };
}

const modern = { character: "modern" } as const;
const noSessions = { ...modern, switches: { remembersSessions: false } } as const;

/** Remembers what Redis holds; it holds that again, and nothing else, once it is set back. */
async function remember({ redis, keys }: JournalView): Promise<() => Promise<void>> {
  const held = async () => (await redis.keys(`${keys.cad}:*`)).filter((key) => !key.endsWith(":lease"));
  const copies = await Promise.all(
    (await held()).map(async (key) => ({ key, ttl: await redis.pttl(key), dump: await redis.dumpBuffer(key) })),
  );
  return async () => {
    const transaction = redis.multi().del(...(await held()));
    for (const { key, ttl, dump } of copies) if (dump) transaction.restore(key, Math.max(0, ttl), dump, "REPLACE");
    expect((await transaction.exec())?.map(([error]) => error)).not.toContainEqual(expect.any(Error));
  };
}

/** Cuts the line, and lets the CAD refuse a new one until `back` is called. */
async function cut({ bridge, health }: Scene): Promise<() => Promise<void>> {
  const before = (await health())?.connections ?? 0;
  bridge.cad.switches.refuseToken = true;
  bridge.cad.dropConnections();
  await until("it is gone", () => bridge.cad.connections === 0);
  return async () => {
    bridge.cad.switches.refuseToken = false;
    await until("it is back", async () => ((await health())?.connections ?? 0) > before);
  };
}

describe("a CAD that recovers a session by itself", () => {
  test("sends what was missed on a broken line: it is marked so, and nothing else is asked for", async () => {
    const it = await scene({ cad: modern });
    it.broadcast(3);
    await it.complete();
    const back = await cut(it);
    it.broadcast(5);
    await back();
    it.broadcast(2);
    const entries = await it.complete();
    expect(entries.map(statusOf)).toEqual(Array.from({ length: 10 }, (_, i) => String(i + 1)));
    expect(entries.map((e) => e.recovered)).toEqual([
      ...Array(3).fill(undefined),
      ...Array(5).fill(true),
      undefined,
      undefined,
    ]);
    expect(it.bridge.cad.ledger.summary().byEvent["events:replay"]).toBeUndefined();
    expect((await it.health())?.recovery).toMatchObject({ recovering: false, recovered: 5, gaps_24h: 0 });
  });

  test("does so after a requested reconnect too, and the bridge authenticates and is in its rooms again", async () => {
    const it = await scene({ cad: modern });
    await it.bridge.deliver("/rooms/join", { room: "unit:M12" });
    it.broadcast(1);
    await it.complete();
    const { ledger } = it.bridge.cad;
    ledger.clear();
    const { status } = await it.bridge.post("/reconnect", {});
    expect(status).toBe(200);
    expect(ledger.summary().byEvent).toMatchObject({ "fastapi:authenticate": 1, "join:unit": 1 });
    expect(ledger.summary().byEvent["events:replay"]).toBeUndefined();
  });

  test("and hears of the end of a line only after the next one is there does not leave that one deaf", async () => {
    const { bridge, broadcast, complete } = await scene({
      cad: { ...modern, pingInterval: 300, pingTimeout: 300 },
      worker: false,
    });
    const proxy = await startProxy(bridge.cad.port);
    onTestFinished(() => proxy.stop());
    await bridge.startWorker({ CAD_BACKEND_URL: `http://127.0.0.1:${proxy.port}` });
    await bridge.healthy();
    for (const unheard of [false, true, true]) {
      if (unheard) proxy.swallow(["to-server"]);
      proxy.heal();
      expect(await bridge.post("/reconnect", {})).toMatchObject({ status: 200 });
      await until("the CAD knows of one line alone", () => bridge.cad.connections === 1);
      broadcast(3);
      await complete();
    }
  });

  test("forgets the session of a bridge that stops", async () => {
    const it = await scene({ cad: modern });
    it.broadcast(1);
    await it.complete();
    await it.bridge.worker()?.stop();
    expect(it.bridge.cad.sessionsKept).toBe(0);
  });
});

describe("a CAD that answers events:replay", () => {
  test("is asked for what was missed, which comes before what is new, each event once", async () => {
    const it = await scene({ cad: noSessions });
    it.broadcast(3);
    await it.complete();
    await it.noted();
    const back = await cut(it);
    it.broadcast(1200);
    await back();
    it.broadcast(2);
    const entries = await it.complete();
    expect(entries.map(statusOf)).toEqual(Array.from({ length: 1205 }, (_, i) => String(i + 1)));
    expect(entries.slice(0, 3).map((e) => e.recovered)).toEqual([undefined, undefined, undefined]);
    expect(new Set(entries.slice(3, 1203).map((e) => e.recovered))).toEqual(new Set([true]));
    await it.through();
    expect((await it.journal.entries()).filter((e) => e.kind === "bridge")).toEqual([]);
  });

  test("is asked by a worker that is started anew", async () => {
    const it = await scene({ cad: modern });
    it.broadcast(3);
    await it.complete();
    await it.noted();
    await it.bridge.worker()?.stop();
    it.broadcast(4);
    await it.bridge.startWorker();
    const entries = await it.complete();
    expect(entries.slice(3).map((e) => e.recovered)).toEqual(Array(4).fill(true));
  });

  test("is asked for what Redis had, and lost since it was set back, as when a replica takes over that lags behind", async () => {
    const here = await scene({ cad: noSessions });
    here.broadcast(2);
    await here.complete();
    await here.noted();
    const setBack = await remember(here.journal);
    here.broadcast(2);
    await here.complete();
    await setBack();
    here.broadcast(1);
    const entries = await here.complete();
    expect(entries.map(statusOf)).toEqual(["1", "2", "3", "4", "5"]);
    expect((await here.health())?.epoch).toBe(2);
  });

  test("is asked again on the next line, if the line breaks before the answer; what came meanwhile is kept", async () => {
    const it = await scene({ cad: noSessions });
    it.broadcast(1);
    await it.complete();
    const back = await cut(it);
    it.broadcast(3);
    it.bridge.cad.switches.replay = "silent";
    const asked = it.bridge.cad.ledger.summary().byEvent["events:replay"] ?? 0;
    await back();
    await until("it is asked", () => (it.bridge.cad.ledger.summary().byEvent["events:replay"] ?? 0) > asked);
    it.broadcast(1);
    it.bridge.cad.switches.replay = "answers";
    it.bridge.cad.dropConnections();
    await it.complete();
    await it.through();
    expect((await it.journal.entries()).filter((e) => e.kind === "bridge")).toEqual([]);
  });

  test.each([
    ["silent", "does not answer"],
    ["refuses", "refuses"],
    ["malformed", "cannot be used"],
  ] as const)("one that is %s leaves a gap that is told, in the journal, the health and the log", async (how, why) => {
    const it = await scene({ cad: { ...modern, switches: { remembersSessions: false, replay: how } } });
    it.broadcast(1);
    await it.complete();
    await it.noted();
    const back = await cut(it);
    const cutAt = Date.now();
    await back();
    const [gap] = await it.gaps();
    expect(gap?.reason).toContain(why);
    expect(Date.parse(gap?.from ?? "")).toBeLessThanOrEqual(cutAt);
    expect(Date.parse(gap?.to ?? "")).toBeGreaterThanOrEqual(cutAt);
    it.broadcast(2);
    await it.complete();
    const report = await until("the gap shows", async () => {
      const { recovery } = (await it.bridge.get("/status")).body["worker_report"] as WorkerHealth;
      return recovery.gaps_24h > 0 && recovery;
    });
    expect(report).toMatchObject({ gaps_24h: 1, last_gap: gap });
    expect(it.bridge.logs).toContainEqual(
      expect.objectContaining({ level: "warn", message: "events of this time may be missing" }),
    );
  });

  test("an incomplete replay: its events are recorded, and the rest as a gap", async () => {
    const it = await scene({ cad: noSessions });
    it.broadcast(1);
    await it.complete();
    const back = await cut(it);
    it.bridge.cad.switches.remembers = 2;
    it.broadcast(5);
    await back();
    const [gap] = await it.gaps();
    expect(gap?.reason).toContain("does not remember");
    const entries = await it.journal.has(EVENT, 3);
    expect(entries.map(statusOf)).toEqual(["1", "5", "6"]);
    expect(Date.parse(gap?.to ?? "")).toBeLessThanOrEqual(Date.parse(toMs(entries[1])));
  });
});

const toMs = (entry: JournalEntry | undefined) =>
  (entry?.payload as { occurredAt: string } | undefined)?.occurredAt ?? "";

describe("a CAD that cannot replay events", () => {
  test("leaves a gap after a broken line, from when all was last known to when the line was there again", async () => {
    const it = await scene({ cad: { character: "legacy" } });
    it.broadcast(1);
    await it.complete();
    await it.noted();
    const back = await cut(it);
    const cutAt = Date.now();
    it.broadcast(1);
    await back();
    const [gap] = await it.gaps();
    expect(Date.parse(gap?.from ?? "")).toBeLessThanOrEqual(cutAt);
    expect(Date.parse(gap?.to ?? "")).toBeGreaterThanOrEqual(cutAt);
  });

  test("leaves one after a start too, but not at the very first", async () => {
    const it = await scene({ cad: { character: "legacy" } });
    await it.noted();
    expect((await it.journal.entries()).filter((e) => e.kind === "bridge")).toEqual([]);
    await it.bridge.worker()?.stop();
    await it.bridge.startWorker();
    expect(await it.gaps()).toHaveLength(1);
    await it.bridge.worker()?.stop();
    await it.bridge.startWorker();
    await it.gaps(2);
    await until("both are shown", async () => (await it.health())?.recovery.gaps_24h === 2);
  });

  test("leaves one for what Redis lost since it was set back, though nothing comes any more that would show it", async () => {
    const here = await scene();
    here.broadcast(1);
    await here.complete();
    await here.noted();
    const setBack = await remember(here.journal);
    here.broadcast(1);
    const lost = (await here.complete()).at(-1)?.receivedAt ?? 0;
    await setBack();
    const [gap] = await here.gaps();
    // A time of receipt is an estimate of Redis's clock, which may be late by a round trip.
    const ROUND_TRIP_US = 500_000;
    expect(Date.parse(gap?.from ?? "") * 1000).toBeLessThanOrEqual(lost + ROUND_TRIP_US);
    expect(Date.parse(gap?.to ?? "") * 1000 + 1000).toBeGreaterThan(lost);
  });

  test("commands do not wait for it", async () => {
    const it = await scene({ cad: { character: "legacy" } });
    const back = await cut(it);
    await back();
    expect((await it.health())?.recovery.recovering).toBe(true);
    await it.bridge.deliver("/units/status", { unit_id: "M12", status: "enroute" });
    expect((await it.health())?.recovery.recovering).toBe(true);
    await it.gaps();
  });
});

// Longer than the usual bound: the outage alone takes 4.5 s, and the worker opens its lease, queue and line anew.
describe("Redis away while the CAD goes on", { timeout: 40_000 }, () => {
  const OUTAGE_MS = 4500; // longer than the lease

  async function outage(it: Scene, away: () => Promise<void>, back: () => Promise<void>): Promise<void> {
    it.broadcast(20);
    await it.complete();
    await it.noted();
    await away();
    const from = performance.now();
    await until("the outage is over", async () => {
      it.broadcast(1);
      return performance.now() - from > OUTAGE_MS;
    });
    await back();
    it.broadcast(10);
  }

  test.each(["frozen", "restarted"])(
    "%s: what a CAD that replays broadcast is all in the journal, once",
    async (how) => {
      const redis = await ownRedis();
      const it = await scene({ redisUrl: redis.url, cad: modern });
      const frozen = how === "frozen";
      const signal = (name: NodeJS.Signals) => redis.process.kill(name);
      await outage(
        it,
        async () => (frozen ? signal("SIGSTOP") : await redis.stop()),
        async () => (frozen ? signal("SIGCONT") : await redis.restart()),
      );
      await it.complete(15_000);
      await it.through();
      expect((await it.journal.entries()).filter((e) => e.event === BRIDGE_EVENTS.gap)).toEqual([]);
    },
  );

  test("what a CAD that does not replay broadcast is in the journal, or within a gap that is told", async () => {
    const redis = await ownRedis();
    const it = await scene({ redisUrl: redis.url, cad: { character: "legacy" } });
    const from = Date.now();
    await outage(
      it,
      () => redis.stop(),
      () => redis.restart(),
    );
    const to = Date.now();
    const [gap] = await it.gaps();
    await it.through();
    const there = new Set((await it.journal.entries()).filter((e) => e.event === EVENT).map(statusOf));
    expect(there.has("20")).toBe(true);
    expect(Date.parse(gap?.from ?? "")).toBeGreaterThanOrEqual(from);
    expect(Date.parse(gap?.to ?? "") - Date.parse(gap?.from ?? "")).toBeGreaterThan(OUTAGE_MS / 2);
    expect(Date.parse(gap?.to ?? "")).toBeLessThanOrEqual(to + 10_000);
  });
});
