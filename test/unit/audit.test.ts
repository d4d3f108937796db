import { expect, test } from "vitest";
import { chainKeys, sealOf } from "../../shared/audit/chain.ts";
import type { AuditNote, StoredEntry } from "../../shared/audit/entry.ts";
import { exportTrail, verifyExport } from "../../shared/audit/export.ts";
import { auditKeys } from "../../shared/audit/keys.ts";
import { openAuditChain } from "../../shared/audit/link.ts";
import { MAX_UNAUTHENTICATED_PER_MINUTE, openAuditTrail } from "../../shared/audit/trail.ts";
import { verifyTrail } from "../../shared/audit/verify.ts";
import { createSealer, type PayloadKey } from "../../shared/sealing/seal.ts";
import { freshBackend } from "../support/redis.ts";

const KEY = "a key for the trail of the tests, long enough";
const OTHER = "another key for the trail of the tests, newer";
const KEYED = chainKeys([KEY]);
const PLAIN = chainKeys();
const DAY_MS = 24 * 3_600_000;

const note = (n: number): AuditNote => ({
  ...{ user: `user-${n}`, role: "crew", action: "POST /units/status", about: [`unit:M${n}`, "incident:I"] },
  ...{ requestId: `request-${n}`, address: "192.0.2.1" },
});

/** A trail with so many entries, chained as it stands. */
async function trailOf(count: number, secrets = KEYED) {
  const { redis, keys: outbox } = freshBackend();
  const keys = auditKeys(outbox.base);
  const trail = openAuditTrail(redis, outbox, createSealer([]));
  const chain = openAuditChain(redis, keys, secrets);
  for (let n = 0; n < count; n += 1) await trail.note(note(n), "accepted", `command-${n}`);
  while ((await chain.extend(4)) > 0);
  const all: StoredEntry[] = await redis.xrange(keys.entries, "-", "+");
  const verify = (by = secrets, noted?: { id: string; hash: string }) => verifyTrail(redis, keys, by, noted);
  /** Writes a stream anew with other contents, as whoever owns Redis can. */
  const rewrite = async (key: string, entries: readonly StoredEntry[]) => {
    await redis.del(key);
    for (const [id, fields] of entries) await redis.xadd(key, id, ...fields);
  };
  return { redis, outbox, keys, trail, chain, ids: all.map(([id]) => id), all, verify, rewrite };
}

test.each([
  ["HMAC", KEYED],
  ["SHA-256", PLAIN],
])("a trail that nobody touched is found whole, chained by %s; what is new is told apart", async (_name, secrets) => {
  const { trail, verify, ids } = await trailOf(10, secrets);
  await trail.note(note(10), "accepted", "command-10");
  expect(await verify()).toMatchObject({
    ...{ ok: true, checked: 10, unlinked: 1, first: ids[0], oldestUnlinked: expect.any(Number) },
    head: { id: ids[9], count: 10, by: secrets.by },
  });
});

test("an empty trail is whole", async () => {
  expect(await (await trailOf(0)).verify()).toMatchObject({ ok: true, checked: 0, unlinked: 0 });
});

type Trail = Awaited<ReturnType<typeof trailOf>>;
const FORGERIES: [what: string, forge: (trail: Trail) => Promise<unknown>, bad: number, says: RegExp][] = [
  [
    "one changed",
    (t) => t.rewrite(t.keys.entries, t.all.with(4, [t.ids[4] ?? "", (t.all[4]?.[1] ?? []).with(1, "somebody-else")])),
    4,
    /was changed/,
  ],
  ["one removed", (t) => t.redis.xdel(t.keys.entries, t.ids[4] ?? ""), 4, /was removed/],
  ["the first removed", (t) => t.redis.xdel(t.keys.entries, t.ids[0] ?? ""), 0, /was removed/],
  ["the last removed", (t) => t.redis.xdel(t.keys.entries, t.ids[9] ?? ""), 9, /was removed/],
  ["all removed", (t) => t.redis.del(t.keys.entries), 0, /was removed/],
  [
    "one removed with its link",
    (t) => Promise.all([t.redis.xdel(t.keys.entries, t.ids[4] ?? ""), t.redis.xdel(t.keys.links, t.ids[4] ?? "")]),
    5,
    /some between them were removed/,
  ],
  [
    "the begin cut off with its links",
    (t) => Promise.all([t.keys.entries, t.keys.links].map((key) => t.redis.xtrim(key, "MINID", t.ids[3] ?? ""))),
    3,
    /some between them were removed/,
  ],
  [
    "the end cut off with its links",
    (t) => Promise.all([t.keys.entries, t.keys.links].map((key) => t.redis.xdel(key, t.ids[8] ?? "", t.ids[9] ?? ""))),
    9,
    /not its last entry/,
  ],
  [
    "two swapped",
    (t) =>
      t.rewrite(
        t.keys.entries,
        t.all.with(4, [t.ids[4] ?? "", t.all[5]?.[1] ?? []]).with(5, [t.ids[5] ?? "", t.all[4]?.[1] ?? []]),
      ),
    4,
    /was changed/,
  ],
  [
    "a field added",
    (t) => t.rewrite(t.keys.entries, t.all.with(2, [t.ids[2] ?? "", [...(t.all[2]?.[1] ?? []), "x", "y"]])),
    2,
    /was changed/,
  ],
  ["the head removed", (t) => t.redis.del(t.keys.head), -1, /head was removed/],
  ["the head set elsewhere", (t) => t.redis.hset(t.keys.head, "count", "11"), 9, /head was changed/],
  [
    "a link without the key",
    (t) =>
      t.redis
        .xrange(t.keys.links, "-", "+")
        .then((links) =>
          t.rewrite(t.keys.links, links.with(6, [t.ids[6] ?? "", (links[6]?.[1] ?? []).with(3, "sha256")])),
        ),
    6,
    /without a key/,
  ],
];
test.each(FORGERIES)("finds %s, and names the entry", async (_what, forge, bad, says) => {
  const trail = await trailOf(10);
  await forge(trail);
  expect(await trail.verify()).toEqual({ ok: false, id: trail.ids[bad] ?? "0-0", what: expect.stringMatching(says) });
});

test("finds one inserted between others", async () => {
  const trail = await trailOf(0);
  const entries = ["1000-0", "2000-0", "3000-0"].map((id): StoredEntry => [id, ["user", id]]);
  await trail.rewrite(trail.keys.entries, entries);
  await trail.chain.extend(10);
  expect(await trail.verify()).toMatchObject({ ok: true, checked: 3 });
  await trail.rewrite(trail.keys.entries, entries.toSpliced(2, 0, ["2500-0", ["user", "x"]]));
  expect(await trail.verify()).toEqual({ ok: false, id: "2500-0", what: expect.stringMatching(/was inserted/) });
  await trail.rewrite(trail.keys.entries, [["1-0", ["user", "x"]], ...entries]);
  expect(await trail.verify()).toEqual({ ok: false, id: "1-0", what: expect.stringMatching(/was inserted/) });
});

test("a whole trail that was written anew without the key is found; with one that was noted elsewhere, even without a key", async () => {
  for (const secrets of [KEYED, PLAIN]) {
    const trail = await trailOf(6, secrets);
    const noted = await trail.verify();
    if (!noted.ok) throw new Error(noted.what);
    await trail.redis.del(trail.keys.links, trail.keys.head);
    await trail.rewrite(trail.keys.entries, trail.all.toSpliced(2, 1));
    await openAuditChain(trail.redis, trail.keys, PLAIN).extend(100);
    expect((await trail.verify()).ok).toBe(secrets === PLAIN);
    expect(await trail.verify(secrets, noted.head)).toMatchObject({ ok: false });
  }
});

/** Entries from the sixth on are gone with their links, and the head is set back: all that whoever owns Redis can do. */
async function cutTail(t: Trail, by: string, sealedBy: string) {
  const cut = t.ids.slice(5);
  const links = await t.redis.xrange(t.keys.links, "-", "+");
  await t.rewrite(t.keys.links, links.slice(0, 5));
  await t.redis.xdel(t.keys.entries, ...cut);
  const mark = { id: t.ids[4] ?? "", hash: links[4]?.[1][1] ?? "", by, count: 5 };
  const seal = sealOf("head", mark, "sha256", PLAIN) ?? "";
  await t.redis.hset(t.keys.head, { ...mark, sealed_by: sealedBy, seal });
  await t.trail.note(note(99), "accepted", "");
}

const NOT_ITS_OWN = "head was not set by a worker with AUDIT_KEY or PAYLOAD_KEYS";
test.each([
  [KEYED.by, KEYED.by],
  [KEYED.by, "sha256"],
  ["sha256", "sha256"],
  ["hmac-12345678", "hmac-12345678"],
])(
  "a worker does not go on from a head that was set back, said to be of %s and vouched for by %s",
  async (by, sealedBy) => {
    const trail = await trailOf(10);
    await cutTail(trail, by, sealedBy);
    await expect(trail.chain.extend(10)).rejects.toThrow(NOT_ITS_OWN);
    await expect(trail.chain.extend(10)).rejects.toThrow(NOT_ITS_OWN);
    expect(await trail.verify()).toMatchObject({ ok: false });
    // Nor does one that has just started, unless somebody vouches for exactly this head.
    const next = (adopt?: string) => openAuditChain(trail.redis, trail.keys, KEYED, { adopt }).extend(10);
    await expect(next()).rejects.toThrow(NOT_ITS_OWN);
    await expect(next(`${trail.ids[9]}:${"x".repeat(43)}`)).rejects.toThrow(NOT_ITS_OWN);
    const { id, hash } = await trail.redis.hgetall(trail.keys.head);
    expect(await next(`${id}:${hash}`)).toBe(1);
  },
);

test("a worker goes on from an older head that was set by a worker, and from none, but says first where the chain had stood", async () => {
  const trail = await trailOf(5);
  const older = await trail.redis.hgetall(trail.keys.head);
  await trail.trail.note(note(6), "accepted", "");
  await trail.chain.extend(10);
  const { id, hash } = (await trail.chain.head()) ?? { id: "", hash: "" };
  await trail.rewrite(trail.keys.links, (await trail.redis.xrange(trail.keys.links, "-", "+")).slice(0, -1));
  await trail.redis.hset(trail.keys.head, older);
  await expect(trail.chain.extend(10)).rejects.toThrow(`it stood at ${id}:${hash}`);
  expect(await trail.chain.extend(10)).toBe(1);
  await trail.redis.del(trail.keys.head, trail.keys.links);
  await expect(trail.chain.extend(10)).rejects.toThrow("was set back");
  expect(await trail.chain.extend(10)).toBe(6);
});

test("a worker takes off nothing for the age of a link that is not the bridge's own", async () => {
  const trail = await trailOf(10);
  const links = await trail.redis.xrange(trail.keys.links, "-", "+");
  const cut = trail.ids.slice(0, 5);
  await trail.redis.xdel(trail.keys.entries, ...cut);
  // As if the fifth had been the last of long ago.
  await trail.rewrite(trail.keys.links, [["1-0", links[4]?.[1] ?? []], ...links.slice(5)]);
  await expect(trail.chain.trim(DAY_MS)).rejects.toThrow("nothing was taken off");
  expect(await trail.verify()).toMatchObject({ ok: false });
});

test("a key that is added or replaced goes on with the chain, and who checks needs every key that made it", async () => {
  const trail = await trailOf(3, PLAIN);
  const add = async (n: number, secrets: typeof KEYED) => {
    await trail.trail.note(note(n), "accepted", "");
    const { id, hash } = await trail.redis.hgetall(trail.keys.head);
    await openAuditChain(trail.redis, trail.keys, secrets, { adopt: `${id}:${hash}` }).extend(10);
  };
  await add(3, KEYED);
  expect(await trail.verify(KEYED)).toMatchObject({ ok: true, checked: 4 });
  const both = chainKeys([OTHER, KEY]);
  await add(4, both);
  expect(await trail.verify(both)).toMatchObject({ ok: true, checked: 5 });
  expect(await trail.verify(KEYED)).toMatchObject({ ok: false, what: expect.stringMatching(/needs the key hmac-/) });
  expect(await trail.verify(PLAIN)).toMatchObject({ ok: false, what: expect.stringMatching(/needs the key hmac-/) });
});

test("what is older than it is to be kept is taken off, and the rest is still whole; its new begin cannot be forged", async () => {
  const trail = await trailOf(0);
  const { redis, keys, chain } = trail;
  const now = Date.now();
  for (const [i, age] of [3 * DAY_MS, 3 * DAY_MS - 1, 2 * DAY_MS, 1000].entries())
    await redis.xadd(keys.entries, `${now - age}-0`, "user", `u${i}`);
  expect(await chain.trim(1.5 * DAY_MS)).toBe(0);
  await chain.extend(10);
  expect(await chain.trim(2.5 * DAY_MS)).toBe(2);
  expect(await redis.xlen(keys.links)).toBe(2);
  expect(await trail.verify()).toMatchObject({ ok: true, checked: 2, head: { count: 4 } });
  await trail.trail.note(note(1), "accepted", "");
  await chain.extend(10);
  expect(await chain.trim(1.5 * DAY_MS)).toBe(1);
  expect(await trail.verify()).toMatchObject({ ok: true, checked: 2, head: { count: 5 } });
  expect(await chain.trim(-1000)).toBe(2);
  expect(await trail.verify()).toMatchObject({ ok: true, checked: 0 });

  const forged = await trailOf(5);
  const [, second] = await forged.redis.xrange(forged.keys.links, "-", "+");
  await Promise.all(
    [forged.keys.entries, forged.keys.links].map((key) => forged.redis.xtrim(key, "MINID", forged.ids[2] ?? "")),
  );
  const fields = {
    id: forged.ids[1],
    hash: second?.[1][1],
    by: KEYED.by,
    count: 2,
    sealed_by: KEYED.by,
    seal: "x".repeat(43),
  };
  await forged.redis.hset(forged.keys.anchor, fields);
  expect(await forged.verify()).toEqual({ ok: false, id: forged.ids[1], what: "the chain's anchor was changed" });
});

test("however many write the chain at once, there is one, and every entry is in it once", async () => {
  const trail = await trailOf(0);
  const others = Array.from({ length: 4 }, () => openAuditChain(trail.redis, trail.keys, KEYED));
  await Promise.all(
    others.map(async (chain) => {
      for (let n = 0; n < 40; n += 1) {
        await trail.trail.note(note(n), "accepted", "");
        await chain.extend(7);
      }
    }),
  );
  while ((await trail.chain.extend(50)) > 0);
  expect(await trail.verify()).toMatchObject({ ok: true, checked: 160, unlinked: 0, head: { count: 160 } });
});

test("checking while entries are added, chained and taken off finds nothing wrong", async () => {
  const trail = await trailOf(20);
  const over = new AbortController();
  const busy = (async () => {
    for (let n = 0; !over.signal.aborted; n += 1) {
      await trail.trail.note(note(n), "accepted", "");
      if (n % 3 === 0) await trail.chain.extend(5);
      if (n % 20 === 0) await trail.chain.trim(20);
    }
  })();
  for (let i = 0; i < 60; i += 1) expect(await trail.verify()).toMatchObject({ ok: true });
  over.abort();
  await busy;
});

async function check(lines: string[]) {
  async function* read() {
    yield* lines;
  }
  return await verifyExport(read(), KEYED);
}

test("an export can be checked by itself: a changed, removed or inserted line is named", async () => {
  const { redis, keys, ids } = await trailOf(8);
  const lines: string[] = [];
  for await (const line of exportTrail(redis, keys, {})) lines.push(line);
  expect(await check(lines)).toMatchObject({ ok: true, checked: 8 });
  expect(await check(lines.slice(3))).toMatchObject({ ok: true, checked: 5 });
  expect(JSON.parse(lines[2] ?? "")).toMatchObject({
    ...{ id: ids[2], user: "user-2", about: ["unit:M2", "incident:I"] },
    n: 3,
  });
  expect(await check(lines.with(3, (lines[3] ?? "").replace("user-3", "user-x")))).toMatchObject({
    ok: false,
    id: ids[3],
  });
  expect(await check(lines.toSpliced(3, 1))).toMatchObject({ ok: false, id: ids[4] });
  expect(await check(lines.toSpliced(3, 0, lines[1] ?? ""))).toMatchObject({ ok: false, id: ids[1] });
  expect(await check([...lines, "{}"])).toMatchObject({ ok: false, id: ids[7] });
});

test("of refusals without a token so many a minute are written at most, and all are counted", async () => {
  const { redis, outbox, keys } = await trailOf(0);
  const trail = openAuditTrail(redis, outbox, createSealer([]));
  const flood = MAX_UNAUTHENTICATED_PER_MINUTE + 200;
  const refused = (n: number) => ({
    ...note(n),
    user: "",
    address: `192.0.2.${n}`,
    once: { key: `a${n}`, ms: 60_000 },
  });
  await Promise.all(Array.from({ length: flood }, (_, n) => trail.note(refused(n), "unauthenticated", "")));
  expect(await redis.xlen(keys.entries)).toBe(MAX_UNAUTHENTICATED_PER_MINUTE);
  expect(await redis.hgetall(`${keys.base}:audit:counts`)).toEqual({
    "unauthenticated POST /units/status": String(flood),
  });
  // Those who showed a token are not silenced by such a flood.
  await trail.note(note(1), "forbidden", "");
  expect(await redis.xlen(keys.entries)).toBe(MAX_UNAUTHENTICATED_PER_MINUTE + 1);
});

test("names of any characters are kept, and half of one does no harm", async () => {
  const { trail, verify, chain } = await trailOf(0);
  const odd = { ...note(1), user: 'Ünï "quoted"\n\u{1F691}\u0000', about: ["unit:é\\u0000" as const] };
  await trail.note(odd, "accepted", "");
  await trail.note({ ...note(2), user: "half \ud83d" }, "accepted", "");
  await chain.extend(10);
  expect(await verify()).toMatchObject({ ok: true, checked: 2 });
  const { entries } = await trail.list({ filter: {}, limit: 10 });
  expect(entries).toMatchObject([{ user: "half \ufffd" }, { user: odd.user, about: odd.about }]);
});

const PAYLOAD_KEY: PayloadKey = { id: "a", secret: new Uint8Array(32).fill(7) };
const BY_PAYLOAD = chainKeys(undefined, [PAYLOAD_KEY]);

/** A trail whose entries carry MACs, and which is not chained yet. */
async function authenticTrail(count: number, sealer = createSealer([PAYLOAD_KEY], "refuse")) {
  const { redis, keys: outbox } = freshBackend();
  const keys = auditKeys(outbox.base);
  const trail = openAuditTrail(redis, outbox, sealer);
  for (let n = 0; n < count; n += 1) await trail.note(note(n), "done", `command-${n}`);
  const forged: string[] = [];
  const start = (by = sealer) =>
    openAuditChain(redis, keys, BY_PAYLOAD, { sealer: by, onForged: (id) => void forged.push(id) });
  const rows = async () => await redis.xrange(keys.entries, "-", "+");
  const rewrite = async (entries: readonly StoredEntry[]) => {
    await redis.del(keys.entries);
    for (const [id, fields] of entries) await redis.xadd(keys.entries, id, ...fields);
  };
  return { redis, keys, trail, forged, start, rows, rewrite, verify: () => verifyTrail(redis, keys, BY_PAYLOAD) };
}

test("with PAYLOAD_KEYS a field of an entry that was changed, swapped or removed before it is in the chain is noticed, whichever it is", async () => {
  const t = await authenticTrail(2);
  const [first = ["", []], second = ["", []]] = await t.rows();
  const names = first[1].filter((_, i) => i % 2 === 0);
  // How often something was done is the script's own to count: the chain covers it, no MAC does.
  const covered = names.filter((name) => name !== "nth");
  expect(covered).toEqual([
    ...["user", "role", "action", "about", "outcome", "command", "request", "address", "issued", "mac"],
  ]);
  for (const name of covered) {
    const at = first[1].indexOf(name) + 1;
    const values = [second[1][at] === first[1][at] ? '["x"]' : (second[1][at] ?? ""), "1700000000000000", ""];
    for (const value of values) {
      await t.redis.del(t.keys.links, t.keys.head);
      t.forged.length = 0;
      await t.rewrite([[first[0], first[1].with(at, value)], second]);
      await t.start().extend(10);
      expect([name, value, t.forged]).toEqual([name, value, [first[0]]]);
    }
  }
  expect(await t.verify()).toMatchObject({ ok: true, checked: 2, forged: [first[0]] });
});

test("a copy of an entry, one without its MAC, and one of long ago that is put in again are forged; a restart remembers", async () => {
  const t = await authenticTrail(3);
  const rows = await t.rows();
  await t.start().extend(10);
  expect(t.forged).toEqual([]);
  const put = async (fields: string[], id = "*") => (await t.redis.xadd(t.keys.entries, id, ...fields)) ?? "";
  const copy = await put(rows[1]?.[1] ?? []);
  const bare = await put((rows[2]?.[1] ?? []).slice(0, -4));
  const odd = await put(["anything", "else"]);
  const next = t.start();
  await next.extend(10);
  const late = await put(rows[0]?.[1] ?? [], `${Date.now() + 3_600_000}-0`);
  await next.extend(10);
  expect(t.forged).toEqual([copy, bare, odd, late]);
  expect(await t.verify()).toMatchObject({ ok: true, forged: t.forged });
  // That an entry was found forged is in the chain too.
  const links = await t.redis.xrange(t.keys.links, "-", "+");
  await t.redis.del(t.keys.links);
  for (const [id, fields] of links) await t.redis.xadd(t.keys.links, id, ...fields.slice(0, 6));
  expect(await t.verify()).toMatchObject({ ok: false, id: copy });
});

test("an entry written after Redis's clock was set back is authentic: its id is ahead of the clock, and the bridge knows", async () => {
  const t = await authenticTrail(0);
  const sealer = createSealer([PAYLOAD_KEY], "refuse");
  // The newest id is what a clock that was an hour ahead left behind.
  const ahead = `${Date.now() + 3_600_000}-0`;
  await t.redis.xadd(t.keys.entries, ahead, "anything", "else");
  const trail = openAuditTrail(t.redis, { ...freshBackend().keys, cad: t.keys.base }, sealer);
  await trail.note(note(1), "done", "");
  await t.start().extend(10);
  expect(t.forged).toEqual([ahead]);
  expect((await trail.list({ filter: {}, limit: 10 })).entries.map((e) => e.authentic)).toEqual([true, false]);
  // So far ahead no clock was: somebody wrote there, and what is written then is not vouched for.
  await t.redis.xadd(t.keys.entries, `${Date.now() + 48 * 3_600_000}-0`, "anything", "else");
  const later = openAuditTrail(t.redis, { ...freshBackend().keys, cad: t.keys.base }, sealer);
  await later.note(note(2), "done", "");
  await t.start().extend(10);
  expect(t.forged.length).toBe(3);
});

test("entries from before there were MACs pass while ALLOW_UNSEALED_PAYLOADS says so, and rotated keys raise no alarm", async () => {
  const old = await authenticTrail(2, createSealer([]));
  const newer: PayloadKey = { id: "b", secret: new Uint8Array(32).fill(8) };
  await old.start(createSealer([PAYLOAD_KEY], "open")).extend(10);
  const rotated = createSealer([newer, PAYLOAD_KEY], "refuse");
  await openAuditTrail(old.redis, { ...freshBackend().keys, cad: old.keys.base }, rotated).note(note(9), "done", "");
  await old.start(rotated).extend(10);
  // The functions have the newer key already, the worker has not.
  await openAuditTrail(old.redis, { ...freshBackend().keys, cad: old.keys.base }, rotated).note(note(10), "done", "");
  await old.start(createSealer([PAYLOAD_KEY], "refuse")).extend(10);
  expect(old.forged).toEqual([]);
  expect(await old.verify()).toMatchObject({ ok: true, checked: 4, forged: [] });
});

test("verifying without a key reports missing entries, and a key derived from PAYLOAD_KEYS verifies everything", async () => {
  const t = await authenticTrail(4);
  await t.start().extend(10);
  const keyless = { ...chainKeys(), keyless: true };
  expect(await verifyTrail(t.redis, t.keys, keyless)).toMatchObject({ ok: true, checked: 4 });
  const rows = await t.rows();
  await t.redis.xdel(t.keys.entries, rows[1]?.[0] ?? "");
  expect(await verifyTrail(t.redis, t.keys, keyless)).toMatchObject({ ok: false, id: rows[1]?.[0] });
  expect(await t.verify()).toMatchObject({ ok: false, id: rows[1]?.[0] });
});
