import { describe, expect, onTestFinished, test } from "vitest";
import { cadsKeys } from "../../shared/cads/keys.ts";
import { fromDisk } from "../../shared/config/program.ts";
import { parseConfig } from "../../shared/config/config.ts";
import { fleetEnv, loadFleet } from "../../worker/fleet/load.ts";
import { startFleet } from "../../worker/fleet/fleet.ts";
import { until } from "../../tools/support/until.ts";
import { keptLog } from "../support/log.ts";
import { type CadToStart, startSeveral, tokenOf } from "../support/several-cads.ts";

const NORTH = { id: "north", owns: { units: ["N*"], organisations: ["north-fire", "both"] } };
const SOUTH = { id: "south", owns: { units: ["S*"], organisations: ["south-fire", "both"] } };
const OPEN = [
  { id: "north", owns: { units: ["N*"] } },
  { id: "south", owns: { units: ["S*"] } },
];
const BASE = "/api/socket-bridge";
const status = (unit: string, more: object = {}) => ({ unit_id: unit, status: "enroute", ...more });
const times = (incident: string) => ({ incident_id: incident, status: "COMPLETED" });

const starting = (cads: readonly CadToStart[], env?: Record<string, string>) => startSeveral(cads, env);

describe("a command goes", () => {
  test("to the CAD of its unit, and its receipt is found without naming the CAD", async () => {
    const several = await starting(OPEN);
    const { status: code, headers, body } = await several.post("/units/status", status("S1"));
    expect(code).toBe(202);
    expect(headers.get("Location")).toBe(`${BASE}/cads/south/commands/${String(body["command_id"])}`);
    expect((await several.get(`/commands/${String(body["command_id"])}`)).body).toMatchObject({ status: "queued" });
    expect((await several.get(`/cads/south/commands/${String(body["command_id"])}`)).status).toBe(200);
    expect((await several.get(`/cads/north/commands/${String(body["command_id"])}`)).status).toBe(404);
    expect((await several.get("/commands/no-such-command")).status).toBe(404);
  });

  test("to the CAD in which its incident was first seen", async () => {
    const several = await starting(OPEN);
    expect((await several.post("/incidents/status", times("I1"))).body).toMatchObject({ code: "undecided-cad" });
    await several.post("/units/status", status("S1", { incident_id: "I1" }));
    // A unit of another CAD that comes later changes nothing.
    await several.post("/units/status", status("N1", { incident_id: "I1" }));
    const { headers } = await several.post("/incidents/status", times("I1"));
    expect(headers.get("Location")).toMatch(/\/cads\/south\//);
    await several.post("/cads/north/incidents/status", times("I2"));
    expect((await several.post("/incidents/status", times("I2"))).headers.get("Location")).toMatch(/\/cads\/north\//);
  });

  test("to the CAD of the token's organisation", async () => {
    const several = await starting([NORTH, SOUTH]);
    const north = await tokenOf({ org: "north-fire" });
    expect((await several.post("/incidents/status", times("I1"), north)).headers.get("Location")).toMatch(
      /\/cads\/north\//,
    );
    expect((await several.post("/units/status", status("S1"), north)).body).toMatchObject({
      status: 403,
      code: "wrong-org",
    });
    expect((await several.post("/cads/south/units/status", status("S1"), north)).body).toMatchObject({
      code: "wrong-org",
    });
    expect((await several.post("/units/status", status("N1"), await tokenOf({}))).body).toMatchObject({
      code: "wrong-org",
    });
  });

  test("to its own CAD, although another organisation named the incident before", async () => {
    const several = await starting([NORTH, SOUTH]);
    const [north, south] = [await tokenOf({ org: "north-fire" }), await tokenOf({ org: "south-fire" })];
    const named = await several.post("/units/status", status("N1", { incident_id: "I-SOUTH-7" }), north);
    expect(named.status).toBe(202);
    const { headers } = await several.post("/incidents/status", times("I-SOUTH-7"), south);
    expect(headers.get("Location")).toMatch(/\/cads\/south\//);
    // Nor does it show that the other one knows it.
    expect((await several.get("/incidents/I-SOUTH-7", south)).status).toBe(404);
  });

  test("nowhere if no CAD can be decided on, and says how to address one", async () => {
    const several = await starting(OPEN);
    expect(await several.post("/units/status", status("X1"))).toMatchObject({
      status: 422,
      body: {
        code: "undecided-cad",
        cads: [
          { cad: "north", path: `${BASE}/cads/north` },
          { cad: "south", path: `${BASE}/cads/south` },
        ],
      },
    });
    expect((await several.post("/cads/north/units/status", status("X1"))).status).toBe(202);
    expect((await several.post("/cads/nowhere/units/status", status("X1"))).status).toBe(404);
  });

  test("not to a CAD that its path names, if its unit is another one's", async () => {
    const several = await starting(OPEN);
    expect(await several.post("/cads/north/units/status", status("S1"))).toMatchObject({
      status: 422,
      body: { code: "other-cad", cad: "south" },
    });
  });

  test("not beyond the units of its token", async () => {
    const several = await starting(OPEN);
    const crew = await tokenOf({ role: "crew", units: ["N1"] });
    expect((await several.post("/units/status", status("N1"), crew)).status).toBe(202);
    expect((await several.post("/units/status", status("S1"), crew)).body).toMatchObject({ code: "outside-units" });
    const { body } = await several.post("/units/status", status("N2"));
    expect((await several.get(`/commands/${String(body["command_id"])}`, crew)).status).toBe(404);
  });

  test("not to where a forged memory of its incident says", async () => {
    const several = await starting(OPEN, { PAYLOAD_KEYS: `k1:${Buffer.alloc(32, 1).toString("base64")}` });
    await several.post("/units/status", status("S1", { incident_id: "I1" }));
    const keys = cadsKeys(several.prefix);
    const stored = await several.redis.hget(keys.incidents, "I1");
    await several.redis.hset(keys.incidents, "I1", String(stored).replace("south", "north"));
    expect((await several.post("/incidents/status", times("I1"))).body).toMatchObject({ code: "forged-record" });
  });
});

describe("a read", () => {
  test("of a list takes a CAD in its path, or a token of one CAD alone", async () => {
    const several = await starting([NORTH, SOUTH]);
    const both = await tokenOf({ role: "admin", org: "both" });
    const north = await tokenOf({ role: "admin", org: "north-fire" });
    for (const path of [
      "/dead-letters",
      "/audit",
      "/events",
      "/events/history",
      "/units",
      "/commands",
      "/destinations",
    ]) {
      expect(await several.get(path, both)).toMatchObject({ status: 422, body: { code: "undecided-cad" } });
      if (path === "/events") continue;
      expect((await several.get(`/cads/south${path}`, both)).status).toBe(200);
      expect((await several.get(path, north)).status).toBe(200);
      expect((await several.get(`/cads/south${path}`, north)).body).toMatchObject({ code: "wrong-org" });
    }
    expect((await several.get("/dead-letters", "nonsense")).status).toBe(401);
    expect((await several.get("/dead-letters", await tokenOf({ role: "crew", org: "both" }))).body).toMatchObject({
      code: "forbidden",
    });
  });

  test("that names a unit goes to its CAD", async () => {
    const several = await starting(OPEN);
    await several.post("/units/status", status("S1"));
    expect((await several.get("/queues/unit:S1")).body).toMatchObject({ waiting: 1 });
    expect((await several.get("/commands?unit=S1&state=queued")).body["commands"]).toHaveLength(1);
    expect((await several.get("/units/S1")).status).toBe(404);
  });

  test("of the API's own documents and of an unknown path needs no CAD", async () => {
    const several = await starting(OPEN);
    expect((await several.get("/openapi.json")).body).toMatchObject({
      servers: [{ url: BASE }, { url: `${BASE}/cads/{cad}` }],
    });
    expect((await several.get("/cads/north/openapi.json")).status).toBe(200);
    expect((await several.get("/nothing")).status).toBe(404);
    expect((await several.get("/cads/north/admin")).status).toBe(200);
  });
});

describe("GET /cads", () => {
  test.each<[role: string, shown: object]>([
    ["crew", { path: `${BASE}/cads/north`, status: "unhealthy", ready: false }],
    ["dispatcher", { path: `${BASE}/cads/north`, owns: { units: ["N*"], organisations: ["north-fire", "both"] } }],
    ["admin", { leader: null }],
  ])("lists the CADs of the token's organisation, as far as a %s may see them", async (role, shown) => {
    const several = await starting([NORTH, SOUTH]);
    const { body } = await several.get("/cads", await tokenOf({ role, org: "north-fire" }));
    expect(body["cads"]).toEqual([expect.objectContaining({ id: "north", ...shown })]);
    const [north] = body["cads"] as object[];
    expect("owns" in (north ?? {})).toBe(role !== "crew");
    expect("leader" in (north ?? {})).toBe(role === "admin");
  });

  test("takes a token", async () => {
    const several = await starting(OPEN);
    expect((await several.get("/cads", "nonsense")).status).toBe(401);
    expect((await several.get("/cads/north/cads")).status).toBe(404);
  });
});

test("health, status, metrics, logs and events name each CAD", async () => {
  const several = await starting([
    { id: "north", owns: { units: ["N*"] } },
    { id: "south", owns: { units: ["S*"] } },
  ]);
  expect((await several.get("/health")).status).toBe(503);
  const env = { REDIS_URL: several.redisUrl, REDIS_PREFIX: several.prefix, CADS_FILE: several.file, WORKER_PORT: "0" };
  const config = parseConfig(fleetEnv, env, fromDisk);
  const { log, lines } = keptLog();
  const worker = await startFleet({ config, cads: loadFleet(config, env, fromDisk), random: Math.random, log });
  onTestFinished(() => worker.stop());
  await until("both are well", async () => (await several.get("/health")).body["status"] === "healthy", 15_000);

  await several.cads.get("south")?.stop();
  const degraded = await until("one is down", async () => {
    const answer = await several.get("/health");
    return answer.body["status"] === "degraded" && answer;
  });
  expect(degraded.status).toBe(200);
  expect(degraded.body).toMatchObject({
    cads: { north: { status: "healthy" }, south: { status: expect.not.stringMatching(/^healthy$/) } },
    problems: expect.arrayContaining([expect.objectContaining({ cad: "south", code: "cad-disconnected" })]),
  });
  expect((await several.get("/status")).body).toMatchObject({
    cads: { north: { accepted: 0 }, south: { accepted: 0 } },
  });

  expect((await several.get("/cads")).body["cads"]).toMatchObject([
    { id: "north", status: "healthy", ready: true, leader: expect.any(String) },
    { id: "south", ready: false },
  ]);

  const metrics = String((await several.get("/metrics")).body["text"]);
  expect(metrics).toContain('socket_bridge_health{cad="north",status="healthy"} 1');
  expect(metrics).toContain('socket_bridge_health{cad="south",status="healthy"} 0');
  expect(metrics.match(/^# TYPE socket_bridge_health /gm)).toHaveLength(1);
  const own = `http://127.0.0.1:${worker.port}`;
  expect(await (await fetch(`${own}/metrics`)).text()).toContain('socket_bridge_worker_leader{cad="north"} 1');
  expect(await (await fetch(`${own}/health`)).json()).toMatchObject({ cads: { north: { role: "owner" } } });
  expect(lines.some(({ fields, message }) => message === "the CAD is ready" && fields["cad"] === "north")).toBe(true);
});
