import * as fc from "fast-check";
import { expect, test } from "vitest";
import { events } from "../../shared/events/table.ts";
import { journalKeys } from "../../shared/journal/keys.ts";
import { awkward, mutated } from "../fuzz/arbitrary.ts";
import { liveMegabytes } from "../fuzz/heap.ts";
import { type Bridge, startBridge } from "../support/bridge.ts";
import { testRedis } from "../support/redis.ts";
import { until } from "../../tools/support/until.ts";

/** Payloads for each event. The seed is printed with a failure: it repeats the run. */
const CASES = 10_000;
const SEED = 20_261_122;
/** What a run may leave behind, MB: caches and pools that have a bound. */
const MAY_GROW_MB = 12;
/** How many go out before those that did are waited for: more than ever wait for the journal are lost, and told of. */
const AT_ONCE = 1000;

/** What a CAD might send: nearly what it should, and anything else that Socket.io carries. */
const payloads = (examples: readonly [unknown, ...unknown[]]): fc.Arbitrary<unknown> =>
  fc.oneof(
    { weight: 4, arbitrary: mutated(fc.constantFrom(...examples)) },
    { weight: 2, arbitrary: mutated(mutated(fc.constantFrom(...examples))) },
    { weight: 3, arbitrary: awkward },
    { weight: 1, arbitrary: fc.constantFrom<unknown>(undefined, Buffer.from("bytes"), new Date(0), [Buffer.alloc(3)]) },
  );

async function broadcast(bridge: Bridge, event: string, cases: readonly unknown[], inJournal: () => Promise<number>) {
  for (let i = 0; i < cases.length; i += AT_ONCE) {
    const chunk = cases.slice(i, i + AT_ONCE);
    const before = await inJournal();
    for (const payload of chunk) bridge.cad.broadcast(event, payload);
    await until(`${event}: cases ${i} to ${i + chunk.length} of seed ${SEED} are in the journal`, async () => {
      return (await inJournal()) >= before + chunk.length;
    });
  }
}

test.each([...events.map((e) => [e.name, e.examples] as const), ["shift:changed", [{ crew: 3 }]] as const])(
  `%s with ${CASES} payloads of every kind: each is in the journal, and the bridge goes on as ever`,
  async (event, examples) => {
    const bridge = await startBridge();
    const redis = testRedis();
    const { journal } = journalKeys(bridge.prefix);
    const inJournal = () => redis.xlen(journal);
    const cases = fc.sample(payloads(examples), { numRuns: CASES, seed: SEED });
    await broadcast(bridge, event, cases.slice(0, CASES / 10), inJournal);
    bridge.logs.length = 0;
    const before = liveMegabytes();
    await broadcast(bridge, event, cases.slice(CASES / 10), inJournal);
    bridge.logs.length = 0;
    expect(liveMegabytes() - before).toBeLessThan(MAY_GROW_MB);
    expect(await bridge.deliver("/units/status", { unit_id: "M12", status: "enroute" })).toMatchObject({
      status: "confirmed",
    });
    const { body } = await bridge.get("/status");
    expect(body).toMatchObject({ status: "healthy", bridge: { last_error: null } });
    const { handlers } = body["worker_report"] as { handlers: { failed: number }[] };
    expect(handlers.map((handler) => handler.failed)).toEqual(handlers.map(() => 0));
  },
  60_000,
);
