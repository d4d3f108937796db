import { describe, expect, onTestFinished, test } from "vitest";
import { cadsKeys } from "../../shared/cads/keys.ts";
import { fromDisk } from "../../shared/config/program.ts";
import { parseConfig } from "../../shared/config/config.ts";
import { openMoveSteps } from "../../shared/moves/steps.ts";
import { sleep } from "../../shared/util/sleep.ts";
import { type Accepted, type Arrival, check } from "../../tools/chaos/check/checker.ts";
import { until } from "../../tools/support/until.ts";
import { startFleet } from "../../worker/fleet/fleet.ts";
import { fleetEnv, loadFleet } from "../../worker/fleet/load.ts";
import { keptLog } from "../support/log.ts";
import { type CadToStart, type Several, startSeveral, tokenOf } from "../support/several-cads.ts";

const IDS = ["north", "south"] as const;
const TWO: readonly CadToStart[] = [
  { id: "north", owns: { units: ["N*"] } },
  { id: "south", owns: { units: ["S*"] } },
];
const KEYS = { PAYLOAD_KEYS: `k1:${Buffer.alloc(32, 1).toString("base64")}` };
const status = (unit: string, name = "enroute") => ({ unit_id: unit, status: name });
const cadOf = (several: Several, id: string) => several.cads.get(id) ?? expect.unreachable();

/** A worker in this process. */
async function startWorker(several: Several, more: Record<string, string> = {}) {
  const shared = { REDIS_URL: several.redisUrl, REDIS_PREFIX: several.prefix, CADS_FILE: several.file };
  const env = { ...shared, WORKER_PORT: "0", ...more };
  const config = parseConfig(fleetEnv, env, fromDisk);
  const cads = loadFleet(config, env, fromDisk);
  const worker = await startFleet({ config, cads, random: Math.random, log: keptLog().log });
  onTestFinished(() => worker.stop());
  await until("all CADs are ready", async () => (await several.get("/health")).body["status"] === "healthy", 20_000);
}
async function taken(several: Several, path: string, body: object, headers?: Record<string, string>) {
  const answer = await several.post(path, body, undefined, headers);
  expect(answer).toMatchObject({ status: 202 });
  const [, cad] = /\/cads\/(\w+)\//.exec(answer.headers.get("Location") ?? "") ?? [];
  return { cad, id: String(answer.body["command_id"]), replayed: answer.headers.get("Idempotency-Replayed") };
}
/** The ids of the commands about a unit that a CAD got, each once, in order. */
const idsAt = (several: Several, id: string): string[] => [
  ...new Set(
    cadOf(several, id)
      .ledger.entries({ limit: 100_000 })
      .flatMap(({ commandId, event }) => (commandId !== null && event === "unit:status" ? [commandId] : [])),
  ),
];
const moved = (several: Several, unit = "N1") =>
  until(
    "the move is done",
    async () => {
      const { body } = await several.get(`/units/${unit}/move`);
      return body["pending"] === false && body;
    },
    20_000,
  );

describe("a unit that nothing waits for", () => {
  test("is moved at once, and its commands go to the other CAD from then on", async () => {
    const several = await startSeveral(TWO, KEYS);
    expect((await several.get("/units/N1/move")).status).toBe(404);
    expect(await several.post("/units/N1/move", { to: "south" })).toMatchObject({
      status: 200,
      body: { unit: "N1", from: "north", to: "south", pending: false, waits_for: [], back_at: null },
    });
    expect(await taken(several, "/units/status", status("N1"))).toMatchObject({ cad: "south" });
    expect(await taken(several, "/units/status", status("N2"))).toMatchObject({ cad: "north" });
    expect(await taken(several, "/cads/south/units/status", status("N1"))).toMatchObject({ cad: "south" });
    expect(await several.post("/cads/north/units/status", status("N1"))).toMatchObject({
      status: 422,
      body: { code: "other-cad", cad: "south" },
    });
    expect((await several.get("/queues/unit:N1")).body).toMatchObject({ waiting: 2 });
  });

  test("takes the incident of its commands along", async () => {
    const several = await startSeveral(TWO);
    await several.post("/units/N1/move", { to: "south" });
    await several.post("/units/status", { ...status("N1"), incident_id: "I1" });
    const times = { incident_id: "I1", status: "COMPLETED" };
    expect(await taken(several, "/incidents/status", times)).toMatchObject({ cad: "south" });
  });

  test("is moved once, however often that is asked, and back again", async () => {
    const several = await startSeveral(TWO);
    const first = await several.post("/units/N1/move", { to: "south" });
    expect((await several.post("/units/N1/move", { to: "south" })).body).toEqual(first.body);
    expect((await several.post("/units/N1/move", { to: "north" })).body).toMatchObject({ from: "south", to: "north" });
    expect(await taken(several, "/units/status", status("N1"))).toMatchObject({ cad: "north" });
  });

  test("keeps its Idempotency-Keys, wherever they were used", async () => {
    const several = await startSeveral(TWO);
    const post = (key: string) => taken(several, "/units/status", status("N1"), { "Idempotency-Key": key });
    const a = await post("a");
    await several.post("/units/N1/move", { to: "south" });
    const b = await post("b");
    expect([a.cad, b.cad]).toEqual(["north", "south"]);
    expect(await post("a")).toEqual({ ...a, replayed: "true" });
    await several.post("/units/N1/move", { to: "north" });
    expect(await post("a")).toEqual({ ...a, replayed: "true" });
    expect(await post("b")).toEqual({ ...b, replayed: "true" });
  });

  test("is not moved by a step of an older move that comes late", async () => {
    const several = await startSeveral(TWO);
    for (const to of ["south", "north", "south"]) await several.post("/units/N1/move", { to });
    for (const id of IDS) {
      const steps = openMoveSteps(several.redis, `${several.prefix}-${id}`);
      for (const n of [1, 2]) {
        await steps.block("N1", n);
        await steps.mark("N1", n, "away");
        await steps.mark("N1", n, "here");
        await steps.release("N1", n);
      }
    }
    expect(await taken(several, "/units/status", status("N1"))).toMatchObject({ cad: "south" });
    expect(await several.redis.lrange(`{${several.prefix}-south}:cad:line:unit:N1`, 0, -1)).toHaveLength(1);
  });

  test("is not moved by a forged record", async () => {
    const several = await startSeveral(TWO, KEYS);
    await several.post("/units/N1/move", { to: "south" });
    const keys = cadsKeys(several.prefix);
    const stored = String(await several.redis.hget(keys.moves, "N1"));
    await several.redis.hset(keys.moves, "N1", stored.replace('"n":1', '"n":2'));
    expect((await several.post("/units/status", status("N1"))).body).toMatchObject({ code: "forged-record" });
  });
});

describe("moving a unit is refused", () => {
  test.each<[what: string, path: string, body: object, claims: object, refused: object]>([
    ["to a CAD that there is not", "/units/N1/move", { to: "east" }, {}, { status: 422, code: "move-refused" }],
    ["where no pattern owns the unit", "/units/X1/move", { to: "south" }, {}, { status: 422, code: "move-refused" }],
    ["to where it is", "/units/N1/move", { to: "north" }, {}, { status: 422, code: "move-refused" }],
    ["without a CAD", "/units/N1/move", {}, {}, { status: 422, code: "invalid-body" }],
    ["to a dispatcher", "/units/N1/move", { to: "south" }, { role: "dispatcher" }, { status: 403, code: "forbidden" }],
    [
      "for a unit of others",
      "/units/N1/move",
      { to: "south" },
      { units: ["N2"] },
      { status: 403, code: "outside-units" },
    ],
    ["below the path of a CAD", "/cads/north/units/N1/move", { to: "south" }, {}, { status: 404, code: "not-found" }],
  ])("%s", async (_, path, body, claims, refused) => {
    const several = await startSeveral(TWO);
    const token = await tokenOf({ role: "admin", ...claims });
    expect((await several.post(path, body, token)).body).toMatchObject(refused);
    expect((await several.ask("DELETE", "/units/N1/move")).status).toBe(404);
  });

  test("to an organisation of one of the two CADs alone", async () => {
    const several = await startSeveral([
      { id: "north", owns: { units: ["N*"], organisations: ["north-fire"] } },
      { id: "south", owns: { units: ["S*"], organisations: ["south-fire"] } },
    ]);
    const north = await tokenOf({ role: "admin", org: "north-fire" });
    expect((await several.post("/units/N1/move", { to: "south" }, north)).body).toMatchObject({ code: "wrong-org" });
    expect((await several.post("/units/S1/move", { to: "north" }, north)).body).toMatchObject({ code: "wrong-org" });
  });
});

describe("a unit whose commands wait", () => {
  test("goes to the other CAD once they are settled; what was accepted meanwhile waits for that", async () => {
    const several = await startSeveral(TWO, KEYS);
    await startWorker(several, KEYS);
    cadOf(several, "north").switches.hang = true;
    const before = [
      await taken(several, "/units/status", status("N1")),
      await taken(several, "/units/status", status("N1", "available")),
    ];
    const answer = await several.post("/units/N1/move", { to: "south" });
    expect(answer).toMatchObject({ status: 202, body: { pending: true, waits_for: [{ cad: "north", commands: 2 }] } });
    const after = [
      await taken(several, "/units/status", status("N1")),
      await taken(several, "/units/status", status("N1", "available")),
    ];
    expect(after).toMatchObject([{ cad: "south" }, { cad: "south" }]);
    expect((await several.get("/queues/unit:N1")).body).toMatchObject({ waiting: 2 });
    // Another unit of the same CAD does not wait for it.
    await several.settled((await taken(several, "/units/status", status("S1"))).id);
    expect(idsAt(several, "south")).toHaveLength(1);

    cadOf(several, "north").switches.hang = false;
    expect(await moved(several)).toMatchObject({ waits_for: [] });
    for (const { id } of after) await several.settled(id);
    expect(idsAt(several, "north")).toEqual(before.map(({ id }) => id));
    expect(idsAt(several, "south").slice(1)).toEqual(after.map(({ id }) => id));
  }, 60_000);

  test("is moved back while it waits: the commands at both CADs keep their order", async () => {
    const several = await startSeveral(TWO);
    await startWorker(several);
    cadOf(several, "north").switches.hang = true;
    const first = await taken(several, "/units/status", status("N1"));
    await several.post("/units/N1/move", { to: "south" });
    const second = await taken(several, "/units/status", status("N1", "available"));
    expect(await several.ask("DELETE", "/units/N1/move")).toMatchObject({
      status: 202,
      body: {
        from: "south",
        to: "north",
        waits_for: [
          { cad: "north", commands: 1 },
          { cad: "south", commands: 1 },
        ],
      },
    });
    const third = await taken(several, "/units/status", status("N1"));
    expect([first.cad, second.cad, third.cad]).toEqual(["north", "south", "north"]);
    cadOf(several, "north").switches.hang = false;
    await moved(several);
    const settled: number[] = [];
    for (const { id } of [first, second, third])
      settled.push(Date.parse((await several.settled(id)).settled_at ?? expect.unreachable()));
    expect(settled).toEqual(settled.toSorted((a, b) => a - b));
    expect([idsAt(several, "north"), idsAt(several, "south")]).toEqual([[first.id, third.id], [second.id]]);
  }, 60_000);
});

function arrivalsOf(several: Several, ids: readonly string[]): Arrival[] {
  const all = ids.flatMap((id, i) =>
    cadOf(several, id)
      .ledger.entries({ limit: 100_000 })
      .flatMap(({ commandId, time, connection, outcome }) =>
        commandId === null
          ? []
          : [
              {
                id: commandId,
                time,
                connection: connection * 2 + i,
                opened: time,
                worker: undefined,
                refused: outcome === "refused",
              },
            ],
      ),
  );
  return all.toSorted((a, b) => a.time - b.time);
}

test("moves under load, with a worker that is killed: nothing is lost or overtaken, and no CAD gets another one's command", async () => {
  const several = await startSeveral(TWO);
  const workers = await Promise.all(["one", "two"].map((name) => several.startWorker(name)));
  await until("all CADs are ready", async () => (await several.get("/health")).body["status"] === "healthy", 30_000);
  const accepted: (Accepted & { at: number; cad: string | undefined })[] = [];
  const over = new AbortController();
  const producing = ["N1", "N2", "S1"].map(async (unit) => {
    for (let n = 0; !over.signal.aborted; n += 1) {
      const { id, cad } = await taken(several, "/units/status", status(unit, n % 2 ? "enroute" : "available"));
      accepted.push({ id, cad, keys: [`unit:${unit}`], at: Date.now() });
      await sleep(15);
    }
  });
  const asked = async (unit: string, to: string) =>
    expect((await several.post(`/units/${unit}/move`, { to })).status).toBeLessThan(300);
  for (let round = 0; round < 4; round += 1) {
    await asked("N1", round % 2 === 0 ? "south" : "north");
    if (round === 1) {
      const [killed] = workers;
      killed?.kill("SIGKILL");
    }
    await asked("N2", round % 2 === 0 ? "south" : "north");
    await sleep(300);
  }
  over.abort();
  await Promise.all(producing);
  for (const unit of ["N1", "N2"]) await moved(several, unit);

  const receipts = new Map<string, { status: string; reason: string | null }>();
  for (const { id } of accepted) receipts.set(id, await several.settled(id, 30_000));
  const evidence = { accepted, receipts, left: { outbox: [], jobs: {} }, owners: [], stalls: [] };
  const { violations } = check({ ...evidence, arrivals: arrivalsOf(several, IDS) });
  expect(violations.filter(({ kind }) => kind !== "late repeat")).toEqual([]);
  for (const id of IDS) {
    const own = accepted.filter(({ cad }) => cad === id);
    expect(own.length).toBeGreaterThan(10);
    const arrivals = arrivalsOf(several, [id]);
    expect(check({ ...evidence, accepted: own, arrivals }).violations).toEqual([]);
    const mine = new Set(own.map((one) => one.id));
    expect(arrivals.filter((arrival) => !mine.has(arrival.id))).toEqual([]);
  }
  const { body } = await several.get("/status");
  expect(body["cads"]).toMatchObject({ north: { unaccounted: 0 }, south: { unaccounted: 0 } });
}, 120_000);
