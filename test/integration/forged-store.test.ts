import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { Redis } from "ioredis";
import { chainKeys } from "../../shared/audit/chain.ts";
import { auditKeys } from "../../shared/audit/keys.ts";
import { verifyTrail } from "../../shared/audit/verify.ts";
import { commands } from "../../shared/commands/table.ts";
import { events } from "../../shared/events/table.ts";
import { payloadKeys } from "../../shared/sealing/seal.ts";
import { type Receiver, startReceiver } from "../../tools/support/receiver.ts";
import { until } from "../../tools/support/until.ts";
import { type Bridge, startBridge } from "../support/bridge.ts";
import { protectionOf, STORED } from "../support/stored-records.ts";
import { readFields, type StoredField, tamper } from "../support/stored-fields.ts";
import { writeRoutes } from "../support/destinations.ts";

const PAYLOAD_KEYS = `a:${randomBytes(32).toString("base64")}`;
const KEYED = { PAYLOAD_KEYS };
const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const ends: (() => Promise<void> | void)[] = [];
const atEnd = (end: () => Promise<void>) => void ends.push(end);
afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

let bridge: Bridge;
let redis: Redis;
let alerts: Receiver;
let env: Record<string, string>;
/** What stood there before the last traffic: authentic, and old. */
let older: Map<string, string>;
let fields: StoredField[];
const placeOf = ({ key, field, at }: StoredField) => JSON.stringify([key, field, at]);

/** A running bridge that wrote every kind of record that it writes in everyday traffic. */
beforeAll(async () => {
  redis = new Redis(inject("redisUrl"));
  ends.push(() => redis.disconnect());
  alerts = await startReceiver();
  alerts.answer(500);
  const receivers = await Promise.all([startReceiver(), startReceiver(), startReceiver()]);
  for (const receiver of [alerts, ...receivers]) atEnd(() => receiver.stop());
  const [, gone, bad] = receivers;
  gone.answer(410);
  bad.answer(400);
  const destinations = receivers.map(({ url, secret }, i) => ({
    ...{ id: ["good", "gone", "bad"][i], url, secret, phi: true, retry_s: [0.05] },
  }));
  const rules = [
    { to: "good", events: ["unit:*", "incident:*"] },
    { to: "gone", events: ["unit:*"] },
    { to: "bad", events: ["incident:*"], once: ["incidentId"] },
  ];
  const ROUTES_FILE = writeRoutes({ destinations, rules }, (end) => ends.push(end));
  env = { ...KEYED, ROUTES_FILE, ALLOW_PRIVATE_DESTINATIONS: "true", ALERT_URL: alerts.url, ALERT_AFTER_S: "1" };
  bridge = await startBridge({
    atEnd,
    cad: { character: "modern" },
    functions: KEYED,
    worker: env,
  });
  const traffic = async () => {
    for (const { name, examples } of commands) {
      const { body } = await bridge.post(`/${name}`, examples[0].body, {
        "Command-TTL": "600",
        traceparent: TRACEPARENT,
      });
      await bridge.settled(body["command_id"]);
    }
    for (const { name, examples } of events) for (const example of examples) bridge.cad.broadcast(name, example);
    bridge.cad.broadcast("unit:status:updated", { unitId: 7n.toString(), status: { a: 1 } });
    bridge.cad.broadcast("shift:changed", { a: 1 });
    bridge.cad.switches.reject = { next: 1 };
    await bridge.deliver("/units/status", { unit_id: "M1", status: "enroute" });
  };
  await traffic();
  const { body } = await bridge.get("/dead-letters");
  const [letter] = body["dead_letters"] as { command_id: string }[];
  await bridge.post(`/dead-letters/${letter?.command_id}/redrive`, "");
  await bridge.post("/destinations/good/pause", { reason: "for a test" });
  await bridge.get("/audit");
  bridge.cad.switches.replay = "refuses";
  bridge.cad.switches.remembersSessions = false;
  bridge.cad.dropConnections();
  await until(
    "a gap is noted, and a problem",
    async () => {
      const [gaps, problems] = await Promise.all([redis.exists(full("cad:gaps")), redis.exists(full("cad:problems"))]);
      return gaps === 1 && problems === 1;
    },
    20_000,
  );
  older = new Map((await readFields(redis, bridge.prefix)).map((place) => [placeOf(place), place.value]));
  await bridge.post("/destinations/good/enable", "");
  await traffic();
  await until("the bad one has dead letters", async () => (await redis.exists(full("to:bad:dead"))) === 1);
  await until("the audit trail is chained", async () => {
    const [entries, links] = await Promise.all([redis.xlen(full("cad:audit")), redis.xlen(full("cad:audit:links"))]);
    return entries === links;
  });
  await bridge.worker()?.stop();
  fields = await readFields(redis, bridge.prefix);
}, 90_000);

const full = (key: string) => `{${bridge.prefix}}:${key}`;

test("every field of every record that a running bridge wrote has its row in the table", () => {
  const unknown = fields.filter(({ key, field }) => protectionOf(key, field) === undefined);
  expect(unknown.map(({ key, field }) => `${key} ${field}`)).toEqual([]);
  // The traffic was of every kind: a row of which nothing was written proves nothing.
  const written = STORED.filter((kind) => kind.authentic && fields.some(({ key }) => kind.key.test(key)));
  const missing = STORED.filter((kind) => kind.authentic && !written.includes(kind)).map(({ key }) => String(key));
  expect(missing).toEqual([]);
});

const deadIds = () => new Set(fields.flatMap(({ key, value }) => (key === "cad:dead" ? [value] : [])));
const isDead = (state: string | undefined) => ["rejected", "failed", "unconfirmed"].includes(state ?? "");

/** Where one looks for what a record says; nothing for what the worker alone reads. */
function viewsOf({ key, at, field }: StoredField): string[] {
  const [, id = ""] = /^cad:(?:record|handled|state:unit|state:incident):(.*)$/s.exec(key) ?? [];
  if (key.startsWith("cad:record:"))
    return [`/commands/${id}`, ...(deadIds().has(id) ? ["/dead-letters?limit=100"] : [])];
  if (key.startsWith("cad:handled:")) return [`/events/${id}`];
  if (key.startsWith("cad:state:unit:")) return [`/units/${encodeURIComponent(id)}`];
  if (key.startsWith("cad:state:incident:")) return [`/incidents/${encodeURIComponent(id)}`];
  const [, entry] = /^to:[a-z]+:record:(\d+-\d+)$/.exec(key) ?? [];
  if (entry !== undefined) return [`/events/${entry}`];
  if (key === "cad:journal") return [`/events/${at}`, ...(field === "event" ? ["/events/history?limit=500"] : [])];
  if (key === "cad:cursors") return [`/events/${fields.find((f) => f.key === "cad:journal")?.at}`];
  if (key === "cad:audit") return ["/audit?limit=500"];
  if (key === "cad:health") return ["/health"];
  if (key === "cad:history" || key === "cad:uptime") return ["/history"];
  if (/^to:[a-z]+:state$/.test(key)) return ["/destinations"];
  return [];
}

/** Leaves of an answer, each with what it is about; not what is shown as changed, unreadable or forged, nor ages. */
function statementsIn(value: unknown, about: string): string[] {
  if (value === null || value === "" || value === undefined || value === 0) return [];
  if (Array.isArray(value)) return value.flatMap((one) => statementsIn(one, `${about}[]`));
  if (typeof value !== "object") return [`${about} = ${JSON.stringify(value)}`];
  const one = value as Record<string, unknown>;
  const doubted =
    /changed in Redis|does not know/.test(String(one["reason"])) ||
    one["authentic"] === false ||
    (one["kind"] === "malformed" && one["payload"] === null) ||
    one["unreadable"];
  // "waiting" and "unknown" say that nothing is known.
  if (doubted || ["waiting", "unknown", "not_wanted"].includes(String(one["outcome"]))) return [];
  const changed = one["command"] === "(changed in Redis)";
  const names = [one["id"], one["command_id"], one["handler"], one["at"]];
  const id = names.find((name) => typeof name === "string") ?? "";
  return Object.entries(one).flatMap(([name, part]) => {
    const silent = /age|seconds|_s$|^now$|^checked|percent|latency|uptime|since|message|sends|expires/.test(name);
    return silent || (changed && /command|ordering_keys|proof/.test(name))
      ? []
      : statementsIn(part, `${about}${id}.${name}`);
  });
}

const asked = new Map<string, Promise<Set<string>>>();
async function look(path: string): Promise<Set<string>> {
  const { status, body } = await bridge.get(path);
  const { timestamp: _now, ...said } = body;
  // Of the health, what the worker says: that something is wrong is what is to be seen.
  const { status: _status, problems: _problems, ...health } = said;
  if (path === "/health") return new Set(statementsIn(health, path));
  return new Set(status === 200 ? statementsIn(said, path.replace(/\?.*/, "")) : []);
}

function lookOnce(path: string): Promise<Set<string>> {
  const known = asked.get(path) ?? look(path);
  asked.set(path, known);
  return known;
}

const mark = "EVIL";
/** What somebody without a key might put there. */
function forgeriesOf(place: StoredField): [attack: string, value: string][] {
  const { value } = place;
  const kind = STORED.find(({ key }) => key.test(place.key));
  const other = fields.find(
    (one) => kind?.key.test(one.key) && one.field === place.field && one.value !== value && one.value !== "",
  );
  const old = older.get(placeOf(place));
  const plain = value.replace(/^mac:\S+ /, "");
  return [
    [
      "changed",
      value.replace(
        /^(.*)([\w])(\W*)$/s,
        (_all, a: string, b: string, c: string) => `${a}${b === "1" ? "2" : "1"}${c}`,
      ),
    ],
    ["made up", /^\d{10,}$/.test(value) ? String(Number(value) + 31_536_000_000_000) : mark],
    ["without its MAC", plain],
    ["of another record", other?.value ?? mark],
    // An old heartbeat is as old as it says: see forged-records.test.ts.
    ["of before", place.key === "cad:health" ? mark : (old ?? mark)],
  ].filter(([, forged]) => forged !== value && forged !== undefined) as [string, string][];
}

/** One place of each field of each kind, and of each state of a record: what is settled differs from what waits. */
function samples(): StoredField[] {
  const states = new Map(fields.flatMap(({ key, field, value }) => (field === "state" ? [[key, value] as const] : [])));
  const seen = new Map<string, StoredField>();
  for (const place of fields) {
    if (protectionOf(place.key, place.field) !== "authentic" || viewsOf(place).length === 0) continue;
    const kind = STORED.findIndex(({ key }) => key.test(place.key));
    // Of a command that waits see forged-commands.test.ts.
    const state = /record:/.test(place.key) ? states.get(place.key) : "";
    if (state === "queued" || state === "sent" || state === "expired") continue;
    const settled = isDead(state) ? "dead" : "";
    const name = [kind, settled, /^cad:(cursors|uptime|problems)$/.test(place.key) ? "" : place.field].join(" ");
    if (!seen.has(name) || place.value.length > (seen.get(name)?.value.length ?? 0)) seen.set(name, place);
  }
  return [...seen.values()];
}

test(
  "nothing that was changed, relabelled, re-timed, swapped or rolled back in Redis is answered as true",
  { timeout: 150_000 },
  async () => {
    const places = samples();
    expect(places.length).toBeGreaterThan(80);
    const believed: string[] = [];
    let tried = 0;
    const audited = new Set(fields.flatMap(({ key, at }) => (key === "cad:audit" ? [at] : [])));
    // That somebody reads is noted meanwhile.
    const isNew = (one: string) => one.startsWith("/audit") && !audited.has(/\d+-\d+/.exec(one)?.[0] ?? "");
    async function tryAt(place: StoredField): Promise<void> {
      const views = viewsOf(place);
      const before = await Promise.all(views.map(lookOnce));
      for (const [attack, value] of forgeriesOf(place)) {
        const undo = await tamper(redis, bridge.prefix, place, value);
        const after = await Promise.all(views.map(look));
        await undo();
        tried += 1;
        for (const [i, statements] of after.entries())
          for (const one of statements)
            if (!before[i]?.has(one) && !isNew(one) && !/\/destinations.*\.state = "ok"/.test(one))
              believed.push(`${place.key} ${place.field} ${attack}: ${one}`);
      }
    }
    // What is true is looked at before anything is changed.
    await Promise.all([...new Set(places.flatMap(viewsOf))].map(lookOnce));
    // One place of each record at a time.
    const byKey = Map.groupBy(places, ({ key }) => key);
    await Promise.all(
      [...byKey.values()].map(async (its) => {
        for (const place of its) await tryAt(place);
      }),
    );
    expect(tried).toBeGreaterThan(200);
    expect(believed).toEqual([]);
  },
);

test("a change of the audit trail or its chain is found by verify, whichever field it is", async () => {
  const secrets = chainKeys([], payloadKeys.parse(PAYLOAD_KEYS));
  const verify = () => verifyTrail(redis, auditKeys(full("cad")), secrets);
  expect(await verify()).toMatchObject({ ok: true, forged: [] });
  const seen = new Set<string>();
  const unnoticed: string[] = [];
  for (const place of fields.filter(({ key }) => /^cad:audit(:links|:head)?$/.test(key))) {
    const name = `${place.key} ${place.field}`;
    if (seen.has(name)) continue;
    seen.add(name);
    for (const [attack, value] of forgeriesOf(place)) {
      const undo = await tamper(redis, bridge.prefix, place, value);
      if ((await verify()).ok) unnoticed.push(`${name} ${attack}`);
      await undo();
    }
  }
  expect(seen.size).toBe(20);
  expect(unnoticed).toEqual([]);
});

test(
  "what was put into Redis for the worker to read joins no room, tells nobody of a problem, hides no gap and no deleted event",
  { timeout: 150_000 },
  async () => {
    const valueOf = (key: string, field = "value") =>
      fields.find((one) => one.key === key && one.field === field)?.value ?? "";
    const forged = `mac:v1:a:${"A".repeat(43)}`;
    const evil = (text: string) =>
      text.replace(/^(\d+ )?mac:\S+ /, `$1${forged} `).replaceAll(/"(message|reason)":"/g, '"$1":"EVIL ');
    await redis.zadd(full("cad:rooms"), 1, "unit:EVIL", 2, `${forged} unit:EVIL`);
    await redis.zadd(
      full("cad:gaps"),
      Date.now(),
      evil(valueOf("cad:gaps")),
      Date.now(),
      '{"from":"EVIL","to":"EVIL","reason":"EVIL"}',
    );
    const problem = fields.find(({ key }) => key === "cad:problems");
    await redis.hset(
      full("cad:problems"),
      "cad-disconnected EVIL",
      problem?.value ?? "",
      "canary-failed",
      evil(problem?.value ?? ""),
    );
    const page = valueOf("cad:pages:alert");
    for (const receiver of ["journal", "alert"])
      await redis.lpush(full(`cad:pages:${receiver}`), evil(page), page.replace(/^\d+/, "999"));
    await redis.set(full("cad:heard"), `${forged} ${Date.now() * 1000 + 3_600_000_000} 99999`);
    const entries = [...new Set(fields.flatMap(({ key, at }) => (key === "cad:journal" ? [at] : [])))];
    await redis.xdel(full("cad:journal"), entries[Math.floor(entries.length / 2)] ?? "");
    const gapsBefore = (await bridge.get("/events/history?event=bridge:gap&limit=100")).body["events"] as unknown[];
    alerts.answer(204);
    await bridge.startWorker(env);
    const wanted = [
      "record room",
      "record gap",
      "record problem",
      "record page",
      "record heard",
      "event 1 of the journal are missing",
    ];
    const noted = async () =>
      (
        (await bridge.get("/audit?outcome=forged&limit=500")).body["entries"] as {
          action: string;
          command_id: string | null;
        }[]
      ).map(({ action, command_id: id }) => `${action.replace("FORGED ", "")} ${id ?? ""}`);
    await until(
      "each is noted as forged",
      async () => {
        const found = new Set(await noted());
        return wanted.every((one) => found.has(one));
      },
      30_000,
    ).catch(async () => expect(await noted()).toEqual(expect.arrayContaining(wanted)));
    await until("the health says so", async () =>
      JSON.stringify((await bridge.get("/health")).body).includes("forged-record"),
    );
    await bridge.deliver("/units/status", { unit_id: "M1", status: "enroute" });
    await until("a gap is recorded from the newest event on", async () => {
      const { body } = await bridge.get("/events/history?event=bridge:gap&limit=100");
      return (body["events"] as unknown[]).length > gapsBefore.length;
    });
    const told = [
      ...[await bridge.get("/events/history?limit=500"), await bridge.get("/health"), await bridge.get("/status")].map(
        ({ body }) => body,
      ),
      ...[bridge.cad.ledger.entries(), alerts.received.map(({ event }) => event)],
    ];
    expect(JSON.stringify(told)).not.toContain("EVIL");
  },
);
