import { afterAll, beforeAll, expect, test } from "vitest";
import { chainKeys } from "../../shared/audit/chain.ts";
import { auditKeys } from "../../shared/audit/keys.ts";
import { verifyTrail } from "../../shared/audit/verify.ts";
import { payloadKeys } from "../../shared/sealing/seal.ts";
import { type EveryRecord, PAYLOAD_KEYS, writeEveryRecord } from "../support/every-record.ts";
import { createViews, type Views } from "../support/statements.ts";
import { maySayAgain, STORED } from "../support/stored-records.ts";

const ends: (() => Promise<void> | void)[] = [];
afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

let every: EveryRecord;
let views: Views;
/** The keys of records that are authenticated, by their kind. */
let kinds: Map<number, string[]>;

const kindOf = (key: string) => STORED.findIndex((kind) => kind.authentic && kind.key.test(key));

beforeAll(async () => {
  every = await writeEveryRecord((end) => void ends.push(end));
  views = createViews(every.bridge, every.fields);
  const keys = [...new Set(every.fields.map(({ key }) => key))];
  kinds = Map.groupBy(
    keys.filter((key) => kindOf(key) !== -1),
    kindOf,
  );
}, 90_000);

const dumpOf = async (key: string): Promise<Buffer> => {
  const dump = await every.redis.dumpBuffer(every.full(key));
  if (!dump) throw new Error(`${key} is gone`);
  return dump;
};
const viewsOf = (key: string): string[] => {
  const at = every.fields.find((one) => one.key === key)?.at ?? "";
  return views.of({ key, at, field: "event" });
};

/** What somebody without a key puts under keys of Redis, whole. */
interface Attack {
  name: string;
  puts: { key: string; dump: Buffer }[];
}

/** Names under which nothing of their kind was ever written. */
const MADE_UP: readonly [of: RegExp, key: string][] = [
  [/^cad:record:/, "cad:record:made-up"],
  [/^to:good:record:/, "to:good:record:1700000000000-0"],
  [/^cad:handled:/, "cad:handled:1700000000000-0"],
  [/^cad:state:unit:/, "cad:state:unit:MADE-UP"],
  [/^cad:state:incident:/, "cad:state:incident:MADE-UP"],
];
/** Where a record of one kind might be passed off as one of another. */
const RELABELLED: readonly [from: RegExp, to: RegExp][] = [
  [/^cad:record:/, /^to:good:record:\d+-\d+$/],
  [/^to:good:record:/, /^cad:record:/],
  [/^to:good:record:/, /^to:bad:record:/],
  [/^cad:state:unit:/, /^cad:state:incident:/],
  [/^cad:state:incident:/, /^cad:state:unit:/],
  [/^to:good:state$/, /^to:bad:state$/],
  [/^cad:uptime$/, /^cad:cursors$/],
];

const MOST_OF_A_KIND = 12;

async function attacksOn(keys: readonly string[]): Promise<Attack[]> {
  const attacks: Attack[] = [];
  // Some of each kind, from all over the traffic.
  const step = Math.ceil(keys.length / MOST_OF_A_KIND);
  for (const [i, key] of keys.entries()) {
    if (i % step !== 0) continue;
    const own = await dumpOf(key);
    const old = every.olderKeys.get(key);
    if (old && !old.equals(own)) attacks.push({ name: "rolled back", puts: [{ key, dump: old }] });
    const other = keys[(i + 1) % keys.length] ?? key;
    if (other !== key)
      attacks.push({
        name: "swapped",
        puts: [
          { key, dump: await dumpOf(other) },
          { key: other, dump: own },
        ],
      });
    for (const [of, made] of MADE_UP)
      if (of.test(key)) attacks.push({ name: "created", puts: [{ key: made, dump: own }] });
  }
  return attacks;
}

async function relabelled(): Promise<Attack[]> {
  const all = [...kinds.values()].flat();
  const attacks: Attack[] = [];
  for (const [from, to] of RELABELLED) {
    const targets = all.filter((key) => to.test(key)).slice(0, 6);
    const sources = all.filter((key) => from.test(key)).slice(0, 6);
    expect([String(from), sources.length > 0, targets.length > 0]).toEqual([String(from), true, true]);
    for (const [i, key] of targets.entries())
      attacks.push({ name: "relabelled", puts: [{ key, dump: await dumpOf(sources[i % sources.length] ?? "") }] });
  }
  return attacks;
}

/** The id that was asked for, of a state that is unreadable; a destination whose state is gone, as if it was deleted. */
const saysNothing = (one: string) => /_id = "MADE-UP"$|\/destinations.*\.state = "ok"$/.test(one);

/** What the API says of the attacked records, and did not before. */
async function believedOf({ name, puts }: Attack): Promise<string[]> {
  const { redis, full } = every;
  const paths = [...new Set(puts.flatMap(({ key }) => viewsOf(key)))];
  const before = new Set((await Promise.all(paths.map(views.lookOnce))).flatMap((said) => [...said]));
  const was = await Promise.all(puts.map(async ({ key }) => redis.dumpBuffer(full(key))));
  for (const { key, dump } of puts) await redis.restore(full(key), 3_600_000, dump, "REPLACE");
  const after = (await Promise.all(paths.map(views.look))).flatMap((said) => [...said]);
  for (const [i, { key }] of puts.entries()) {
    const dump = was[i];
    if (dump) await redis.restore(full(key), 0, dump, "REPLACE");
    else await redis.del(full(key));
  }
  const key = puts[0]?.key ?? "";
  const again = (one: string) => name === "rolled back" && maySayAgain(key, "whole") && every.olderSaid.has(one);
  const audited = new Set(every.fields.flatMap((one) => (one.key === "cad:audit" ? [one.at] : [])));
  // That somebody reads is noted meanwhile.
  const isNew = (one: string) => one.startsWith("/audit") && !audited.has(/\d+-\d+/.exec(one)?.[0] ?? "");
  return after
    .filter((one) => ![before.has(one), again(one), isNew(one), saysNothing(one)].includes(true))
    .map((one) => `${key} ${name}: ${one}`);
}

test("a whole record that was created, swapped, rolled back or relabelled in Redis is answered as nothing that is not true", async () => {
  const attacks = (await Promise.all([...kinds.values()].map(attacksOn))).flat();
  attacks.push(...(await relabelled()));
  const names = Map.groupBy(attacks, ({ name }) => name);
  for (const name of ["created", "swapped", "rolled back", "relabelled"])
    expect([name, (names.get(name)?.length ?? 0) >= 10]).toEqual([name, true]);
  const believed: string[] = [];
  for (const attack of attacks) believed.push(...(await believedOf(attack)));
  expect(believed).toEqual([]);
}, 90_000);

type Entry = [id: string, fields: string[]];

/** A stream as somebody who owns Redis might leave it; `told`: whether true content may show at another id, near its own time. */
const STREAM_ATTACKS: Record<string, { change(entries: Entry[]): Entry[]; moves?: true }> = {
  "two entries swapped": {
    change: (entries) => entries.map(([id, fields], i) => [id, (entries[{ 2: 5, 5: 2 }[i] ?? i] ?? [id, fields])[1]]),
    moves: true,
  },
  "the first entry once more at the end": {
    change: (entries) => [...entries, ["9999999999999-0", entries[0]?.[1] ?? []]],
  },
  "an entry at an older id": { change: (entries) => [["1-0", entries[3]?.[1] ?? []], ...entries] },
  "one entry in the place of the next": {
    change: (entries) => entries.map(([id, fields], i) => [id, i === 4 ? (entries[3]?.[1] ?? []) : fields]),
  },
};

async function withStream<T>(key: string, change: (entries: Entry[]) => Entry[], look: () => Promise<T>): Promise<T> {
  const { redis, full } = every;
  const was = await dumpOf(key);
  const entries = change(await redis.xrange(full(key), "-", "+"));
  const write = redis.multi().del(full(key));
  for (const [id, fields] of entries) write.xadd(full(key), id, ...fields);
  await write.exec();
  try {
    return await look();
  } finally {
    await redis.restore(full(key), 0, was, "REPLACE");
  }
}

const saidAt = async (paths: string[]) =>
  new Set((await Promise.all(paths.map(views.look))).flatMap((said) => [...said]));
/** A statement without the id of the entry that it is about. */
const contentOf = (statement: string) => statement.replaceAll(/\d+-\d+/g, "");

test.each(Object.entries(STREAM_ATTACKS))("of the journal, nothing is believed of %s", async (_name, attack) => {
  const ids = every.fields.filter(({ key, field }) => key === "cad:journal" && field === "n").map(({ at }) => at);
  const paths = ["/events/history?limit=500", ...[...ids, "9999999999999-0", "1-0"].map((id) => `/events/${id}`)];
  const before = await saidAt(paths);
  const after = await withStream("cad:journal", attack.change, () => saidAt(paths));
  const content = new Set([...before].map(contentOf));
  const known = (one: string) => before.has(one) || (attack.moves === true && content.has(contentOf(one)));
  expect([...after].filter((one) => !known(one) && !/\.id = /.test(one))).toEqual([]);
  // What it overtook is found forged: it does not go unnoticed.
  if (attack.moves) expect([...before].filter((one) => !after.has(one)).length).toBeGreaterThan(0);
});

test.each(Object.entries(STREAM_ATTACKS))("of the audit trail, nothing is believed of %s", async (_name, attack) => {
  const secrets = chainKeys([], payloadKeys.parse(PAYLOAD_KEYS));
  const keys = auditKeys(every.full("cad"));
  const verify = () => verifyTrail(every.redis, keys, secrets);
  const before = await verify();
  const paths = ["/audit?limit=500"];
  const said = await saidAt(paths);
  const forged = await withStream("cad:audit", attack.change, async () => ({
    verified: await verify(),
    said: await saidAt(paths),
  }));
  expect(before.ok).toBe(true);
  // At the end it is in no chain yet, which is said too.
  const unlinked = forged.verified.ok && before.ok && forged.verified.unlinked > before.unlinked;
  expect(!forged.verified.ok || unlinked).toBe(true);
  // Where it is in the chain `verify` tells, and what was not yet chained bears its time in its MAC.
  const elsewhere = [...forged.said].filter((one) => !said.has(one) && /\D(9999999999999-0|1-0)\D/.test(one));
  expect(elsewhere).toEqual([]);
});
