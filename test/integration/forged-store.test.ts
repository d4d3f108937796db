import { afterAll, beforeAll, expect, test } from "vitest";
import type { Redis } from "ioredis";
import { chainKeys } from "../../shared/audit/chain.ts";
import { auditKeys } from "../../shared/audit/keys.ts";
import { verifyTrail } from "../../shared/audit/verify.ts";
import { payloadKeys } from "../../shared/sealing/seal.ts";
import { until } from "../../tools/support/until.ts";
import type { Bridge } from "../support/bridge.ts";
import { type EveryRecord, PAYLOAD_KEYS, placeOf, writeEveryRecord } from "../support/every-record.ts";
import { createViews, isDead, type Views } from "../support/statements.ts";
import { maySayAgain, protectionOf, STORED } from "../support/stored-records.ts";
import { type StoredField, tamper } from "../support/stored-fields.ts";

const ends: (() => Promise<void> | void)[] = [];
afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

let every: EveryRecord;
let bridge: Bridge;
let redis: Redis;
let fields: StoredField[];
let views: Views;

beforeAll(async () => {
  every = await writeEveryRecord((end) => void ends.push(end));
  ({ bridge, redis, fields } = every);
  views = createViews(bridge, fields);
}, 90_000);

const full = (key: string) => every.full(key);

test("every field of every record that a running bridge wrote has its row in the table", () => {
  const unknown = fields.filter(({ key, field }) => protectionOf(key, field) === undefined);
  expect(unknown.map(({ key, field }) => `${key} ${field}`)).toEqual([]);
  // The traffic was of every kind: a row of which nothing was written proves nothing.
  const written = STORED.filter((kind) => kind.authentic && fields.some(({ key }) => kind.key.test(key)));
  const missing = STORED.filter((kind) => kind.authentic && !written.includes(kind)).map(({ key }) => String(key));
  expect(missing).toEqual([]);
});

/** What was true once, of a field for which that is all that putting it back can do. */
const saidBefore = ({ key, field }: StoredField, attack: string, statement: string): boolean =>
  attack === "of before" && maySayAgain(key, field) && every.olderSaid.has(statement);

const mark = "EVIL";
/** What somebody without a key might put there. */
function forgeriesOf(place: StoredField): [attack: string, value: string][] {
  const { value } = place;
  const kind = STORED.find(({ key }) => key.test(place.key));
  const other = fields.find(
    (one) => kind?.key.test(one.key) && one.field === place.field && one.value !== value && one.value !== "",
  );
  const old = every.older.get(placeOf(place));
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
    if (protectionOf(place.key, place.field) !== "authentic" || views.of(place).length === 0) continue;
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
      const paths = views.of(place);
      const before = await Promise.all(paths.map(views.lookOnce));
      for (const [attack, value] of forgeriesOf(place)) {
        const undo = await tamper(redis, bridge.prefix, place, value);
        const after = await Promise.all(paths.map(views.look));
        await undo();
        tried += 1;
        for (const [i, statements] of after.entries())
          for (const one of statements)
            if (
              !before[i]?.has(one) &&
              !isNew(one) &&
              !saidBefore(place, attack, one) &&
              !/\/destinations.*\.state = "ok"/.test(one)
            )
              believed.push(`${place.key} ${place.field} ${attack}: ${one}`);
      }
    }
    // What is true is looked at before anything is changed.
    await Promise.all([...new Set(places.flatMap(views.of))].map(views.lookOnce));
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
    every.alerts.answer(204);
    await bridge.startWorker(every.env);
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
      ...[bridge.cad.ledger.entries(), every.alerts.received.map(({ event }) => event)],
    ];
    expect(JSON.stringify(told)).not.toContain("EVIL");
  },
);
