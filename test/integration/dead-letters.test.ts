import { SignJWT } from "jose";
import { expect, test } from "vitest";
import type { Receipt } from "../../shared/commands/receipt.ts";
import { until } from "../../tools/support/until.ts";
import { type Bridge, JWT_SECRET, startBridge, tokens } from "../support/bridge.ts";

const list = async (bridge: Bridge, query = "") => {
  const { status, body } = await bridge.get(`/dead-letters${query}`);
  expect(status).toBe(200);
  return body as unknown as { dead_letters: Receipt[]; next: string | null };
};
const ids = (page: { dead_letters: Receipt[] }) => page.dead_letters.map((letter) => letter.command_id);

const remove = (bridge: Bridge, id: string) =>
  fetch(`${bridge.url}/dead-letters/${id}`, {
    method: "DELETE",
    headers: { Authorization: `Bearer ${tokens.admin}` },
  });

/** A bridge whose CAD rejects everything at first, and what it rejected: two units, three commands each. */
async function withDeadLetters() {
  const bridge = await startBridge({ cad: { character: "modern", switches: { reject: 1 } } });
  const dead: Receipt[] = [];
  for (const status of ["enroute", "onscene", "available"]) {
    for (const unit of ["A", "B"]) dead.push(await bridge.deliver("/units/status", { unit_id: unit, status }));
  }
  bridge.cad.switches.reject = 0;
  bridge.cad.ledger.clear();
  return { bridge, dead: dead.map((r) => r.command_id) };
}

test("what was not delivered is listed with its reason, the newest first, in pages", async () => {
  const { bridge, dead } = await withDeadLetters();
  const all = await list(bridge);
  expect(ids(all)).toEqual(dead.toReversed());
  expect(all.dead_letters[0]).toMatchObject({ status: "rejected", reason: expect.stringMatching(/^the CAD said/) });
  const seen: string[] = [];
  let cursor = "";
  for (let pages = 0; pages < 10; pages += 1) {
    const page = await list(bridge, `?limit=4${cursor}`);
    seen.push(...ids(page));
    if (page.next === null) break;
    cursor = `&cursor=${page.next}`;
  }
  expect(seen).toEqual(dead.toReversed());
});

test("a token with units sees, sends again and discards the letters of its units alone", async () => {
  const { bridge, dead } = await withDeadLetters();
  const token = new SignJWT({ sub: "chief", role: "admin", units: ["A"] }).setProtectedHeader({ alg: "HS256" });
  const key = new TextEncoder().encode(JWT_SECRET);
  const headers = { Authorization: `Bearer ${await token.setExpirationTime("1h").sign(key)}` };
  const [ofA = "", ofB = ""] = dead;
  const { body } = await bridge.get("/dead-letters", headers);
  expect(ids(body as unknown as { dead_letters: Receipt[] })).toEqual([dead[4], dead[2], ofA]);
  expect((await bridge.get(`/dead-letters/${ofA}`, headers)).status).toBe(200);
  expect((await bridge.get(`/dead-letters/${ofB}`, headers)).status).toBe(404);
  expect((await bridge.post(`/dead-letters/${ofB}/redrive`, {}, headers)).status).toBe(404);
  const discarded = await fetch(`${bridge.url}/dead-letters/${ofB}`, { method: "DELETE", headers });
  expect(discarded.status).toBe(404);
  expect((await bridge.post("/dead-letters/redrive", {}, headers)).body).toMatchObject({ count: 3 });
  expect(ids(await list(bridge))).toEqual([dead[5], dead[3], ofB]);
});

test("the list can be narrowed by command, unit, incident, reason and time", async () => {
  const { bridge, dead } = await withDeadLetters();
  const third = (await bridge.get(`/dead-letters/${dead[2]}`)).body as unknown as Receipt;
  expect(ids(await list(bridge, "?unit=A"))).toHaveLength(3);
  expect(ids(await list(bridge, "?unit=A&command=units/status&reason=REJECTED"))).toHaveLength(3);
  expect(ids(await list(bridge, "?unit=C"))).toEqual([]);
  expect(ids(await list(bridge, "?incident=A"))).toEqual([]);
  expect(ids(await list(bridge, "?reason=expired"))).toEqual([]);
  expect(ids(await list(bridge, "?command=incidents"))).toEqual([]);
  expect(ids(await list(bridge, `?since=${third.accepted_at}`)).length).toBeGreaterThanOrEqual(4);
  const bad = await bridge.get("/dead-letters?limit=0&cursor=x&color=red");
  expect(bad).toMatchObject({ status: 422, body: { code: "invalid-query" } });
  expect((bad.body["errors"] as { pointer: string }[]).map((e) => e.pointer)).toEqual(["/limit", "/cursor", "/color"]);
});

test("a redrive is a new command, linked both ways, and asked twice it is the same one", async () => {
  const { bridge, dead } = await withDeadLetters();
  const first = await bridge.post(`/dead-letters/${dead[0]}/redrive`, {});
  const second = await bridge.post(`/dead-letters/${dead[0]}/redrive`, {});
  expect(first.status).toBe(202);
  expect(second.body["command_id"]).toBe(first.body["command_id"]);
  expect(await bridge.settled(first.body["command_id"])).toMatchObject({ status: "confirmed", redrive_of: dead[0] });
  expect((await bridge.get(`/commands/${dead[0]}`)).body).toMatchObject({
    status: "rejected",
    redriven_as: first.body["command_id"],
  });
  expect(ids(await list(bridge))).not.toContain(dead[0]);
  expect(bridge.cad.ledger.summary().commands).toBe(1);
});

test("many at once are sent again in the order in which they were accepted; a dry run sends nothing", async () => {
  const { bridge, dead } = await withDeadLetters();
  const dry = await bridge.post("/dead-letters/redrive", { unit: "A", dry_run: true });
  expect(dry).toMatchObject({ status: 200, body: { dry_run: true, count: 3, more: false } });
  expect(ids(await list(bridge))).toHaveLength(6);

  const some = await bridge.post("/dead-letters/redrive", { limit: 2 });
  expect(some).toMatchObject({ status: 202, body: { count: 2, more: true } });
  const rest = await bridge.post("/dead-letters/redrive", {});
  expect(rest).toMatchObject({ status: 202, body: { count: 4, more: false } });
  const redriven = [some, rest].flatMap((a) => a.body["redriven"] as { command_id: string; redriven_as: string }[]);
  expect(redriven.map((r) => r.command_id)).toEqual(dead);
  for (const { redriven_as: id } of redriven) expect(await bridge.settled(id)).toMatchObject({ status: "confirmed" });
  expect(bridge.cad.ledger.summary()).toMatchObject({ commands: 6, violations: 0 });
  expect(ids(await list(bridge))).toEqual([]);
  expect((await bridge.get("/health")).body["backlog"]).toMatchObject({ dead_letters: 0 });
});

test("one that is discarded is gone from the list, and cannot be sent again", async () => {
  const { bridge, dead } = await withDeadLetters();
  expect((await remove(bridge, dead[0] ?? "")).status).toBe(204);
  expect((await remove(bridge, dead[0] ?? "")).status).toBe(404);
  expect(ids(await list(bridge))).toHaveLength(5);
  expect((await bridge.post(`/dead-letters/${dead[0]}/redrive`, {})).status).toBe(404);
  expect((await bridge.get(`/commands/${dead[0]}`)).status).toBe(200);
});

test("a command that was delivered is no dead letter", async () => {
  const bridge = await startBridge({ cad: { character: "modern" } });
  const { command_id: id } = await bridge.deliver("/units/status", { unit_id: "A", status: "enroute" });
  expect((await bridge.get(`/dead-letters/${id}`)).status).toBe(404);
  expect((await bridge.post(`/dead-letters/${id}/redrive`, {})).status).toBe(404);
  expect((await remove(bridge, id)).status).toBe(404);
});

test("unconfirmed commands are listed and sent again if asked for; a dry run shows which were overtaken", async () => {
  const cad = {
    character: "legacy",
    switches: { statusNeedsIncident: true, dropEchoes: 1 },
  } as const;
  const bridge = await startBridge({ cad, worker: { CAD_CONFIRM_TIMEOUT_MS: "100" } });
  const unconfirmed = async (path: string, body: object) => {
    const { command_id: id } = (await bridge.post(path, body)).body;
    // That others are answered shows that it is this command.
    const receipt = await until("it is settled while others are answered", async () => {
      await bridge.deliver("/units/location", { unit_id: "other", latitude: 1, longitude: 1 });
      const { body: found } = await bridge.get(`/commands/${String(id)}`);
      return found["final"] === true && found;
    });
    expect(receipt["status"]).toBe("unconfirmed");
    return id;
  };
  const incident = { incident_id: "I1", incident_type: "Fall", address: "1 Main St", priority: 2 };
  // By itself: of two that are in flight, the CAD drops the echo of either.
  const lost = await bridge.deliver("/incidents", incident);
  expect(lost.status).toBe("unconfirmed");
  const relay = lost.command_id;
  bridge.cad.switches.dropEchoes = 0;
  const overtaken = await unconfirmed("/units/status", { unit_id: "A", status: "enroute" });
  const last = await unconfirmed("/units/status", { unit_id: "B", status: "enroute" });
  bridge.cad.switches.statusNeedsIncident = false;
  const newer = await bridge.deliver("/units/status", { unit_id: "A", status: "onscene" });

  expect(ids(await list(bridge))).toEqual([]);
  expect((await bridge.post("/dead-letters/redrive", { dry_run: true })).body).toMatchObject({ count: 0 });
  expect(ids(await list(bridge, "?state=unconfirmed"))).toEqual([last, overtaken, relay]);
  const dry = await bridge.post("/dead-letters/redrive", { state: "unconfirmed", dry_run: true });
  expect(dry.body).toMatchObject({
    redriven: [
      { command_id: relay, overtaken_by: null },
      { command_id: overtaken, overtaken_by: newer.command_id },
      { command_id: last, overtaken_by: null },
    ],
  });
  const again = await bridge.post("/dead-letters/redrive", { state: "unconfirmed", unit: "B" });
  const [redriven] = again.body["redriven"] as { redriven_as: string }[];
  expect(await bridge.settled(redriven?.redriven_as)).toMatchObject({ status: "confirmed", redrive_of: last });
  expect(ids(await list(bridge, "?state=unconfirmed"))).toEqual([overtaken, relay]);
});
