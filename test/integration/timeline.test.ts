import { SignJWT } from "jose";
import { expect, test } from "vitest";
import { parse } from "csv-parse/sync";
import { until } from "../../tools/support/until.ts";
import { JWT_SECRET, startBridge, tokens } from "../support/bridge.ts";
import { withDestinations } from "../support/destinations.ts";

interface Item {
  at: string;
  kind: string;
  what: string;
  status: string | null;
  who: string | null;
  detail: string | null;
  command_id: string | null;
  destination: string | null;
  audit_number: number | null;
  audit_hash: string | null;
}

test("an incident's timeline has what was asked, said, sent on and when, in order, with the chain's proof, as JSON and CSV", async () => {
  const rules = [{ to: "a", events: ["incident:*"] }];
  const { bridge } = await withDestinations(["a"], rules, {}, { cad: { character: "modern" } });
  const about = { incident_id: "I1" };
  const send = (path: string, body: object) => bridge.deliver(path, { ...about, ...body });
  const done = await send("/incidents/status", { status: "en_route" });
  await send("/units/status", { unit_id: "M1", status: "onscene" });
  await send("/incidents/timestamp", { field: "onscene_at", timestamp: "2026-01-31T22:10:00Z" });
  await send("/incidents/timestamp", { field: "enroute_at", timestamp: "2026-01-31T22:15:00Z" });
  await bridge.deliver("/incidents/status", { incident_id: "I2", status: "en_route" });

  const path = "/incidents/I1/timeline";
  const read = async () => (await bridge.get(path)).body["items"] as Item[];
  const items = await until("all of it is there", async () => {
    const all = await read();
    const chained = all.every((i) => i.kind !== "command" || i.status !== "accepted" || i.audit_number !== null);
    const delivered = all.filter((i) => i.kind === "webhook" && i.status === "delivered").length >= 3;
    return chained && delivered && all.filter((i) => i.kind === "time").length === 2 && all;
  });
  expect(items.map((i) => i.at)).toEqual(items.map((i) => i.at).toSorted());
  const mine = items.filter((i) => i.command_id === done.command_id);
  expect(mine.map((i) => [i.kind, i.status])).toEqual(
    expect.arrayContaining([
      ["command", "accepted"],
      ["command", "sent"],
      ["command", "confirmed"],
      ["event", null],
    ]),
  );
  expect(mine.find((i) => i.status === "accepted")).toMatchObject({
    who: "demo-admin",
    audit_number: expect.any(Number),
    audit_hash: expect.stringMatching(/^[\w-]{43}$/),
  });
  expect(items.some((i) => i.command_id !== null && i.what === "units/status")).toBe(true);
  const times = items.filter((i) => i.kind === "time");
  expect(times.map((i) => i.status)).toEqual(expect.arrayContaining([expect.stringMatching(/^eTimes\.\d\d$/)]));
  // Onscene before en route cannot be right.
  expect(times.some((i) => i.detail !== null)).toBe(true);

  const csv = await fetch(`${bridge.url}${path}?format=csv`, { headers: { Authorization: `Bearer ${tokens.crew}` } });
  expect(csv.headers.get("content-type")).toMatch(/^text\/csv/);
  const rows: Record<string, string>[] = parse(await csv.text(), { columns: true });
  expect(rows.map((row) => row["what"])).toEqual((await read()).map((i) => i.what));

  const later = await bridge.get(`${path}?since=${done.settled_at}`);
  expect((later.body["items"] as Item[]).some((i) => i.command_id === done.command_id && i.status === "accepted")).toBe(
    false,
  );
  expect((await bridge.get("/incidents/nobody/timeline")).status).toBe(404);
});

/** A crew that may act for these units alone. */
const as = async (units: string[]) => {
  const token = new SignJWT({ sub: "crew-1", role: "crew", units }).setProtectedHeader({ alg: "HS256" });
  return {
    Authorization: `Bearer ${await token.setExpirationTime("1h").sign(new TextEncoder().encode(JWT_SECRET))}`,
  };
};

test("a token with units sees an incident's timeline only if one of its units is on it", async () => {
  const bridge = await startBridge();
  await bridge.deliver("/units/status", { unit_id: "M1", incident_id: "I1", status: "onscene" });
  const path = "/incidents/I1/timeline";
  await until("it is known", async () => (await bridge.get("/incidents/I1")).status === 200);
  expect((await bridge.get(path, await as(["M1"]))).status).toBe(200);
  expect((await bridge.get(path, await as(["M2"]))).status).toBe(404);
});
