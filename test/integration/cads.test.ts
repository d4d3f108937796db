import { expect, test } from "vitest";
import { type Accepted, type Arrival, check } from "../../tools/chaos/check/checker.ts";
import type { Cad } from "../../tools/simulator/cad.ts";
import { until } from "../../tools/support/until.ts";
import { sleep } from "../../shared/util/sleep.ts";
import { isFinal } from "../../shared/outbox/states.ts";
import { startSeveral, type Several } from "../support/several-cads.ts";

const IDS = ["a", "b", "c", "d", "e"] as const;
const FIVE = IDS.map((id, i) => ({
  id,
  owns: { units: [`${id.toUpperCase()}*`] },
  cad: { character: i % 2 === 0 ? ("legacy" as const) : ("modern" as const) },
}));
const STATUSES = ["enroute", "available"];
const unitOf = (id: string, n: number) => `${id.toUpperCase()}${n}`;

/** Posts to all the CADs in turn, each unit's commands one after another, until it is told to stop. */
function produce(several: Several, ids: readonly string[]) {
  const accepted = new Map<string, (Accepted & { at: number })[]>(ids.map((id) => [id, []]));
  const refused: unknown[] = [];
  const over = new AbortController();
  const running = ids.map(async (id) => {
    for (let n = 0; !over.signal.aborted; n += 1) {
      const unit = unitOf(id, n % 3);
      const { status, body } = await several.post("/units/status", {
        unit_id: unit,
        status: STATUSES[n % STATUSES.length],
      });
      if (status !== 202) return void refused.push({ status, body });
      accepted.get(id)?.push({ id: String(body["command_id"]), keys: [`unit:${unit}`], at: Date.now() });
      await sleep(20);
    }
  });
  return {
    accepted,
    async stop() {
      over.abort();
      await Promise.all(running);
      expect(refused).toEqual([]);
    },
  };
}

function arrivalsOf(cad: Cad): Arrival[] {
  return cad.ledger
    .entries({ limit: 100_000 })
    .flatMap(({ commandId, time, connection, outcome }) =>
      commandId === null
        ? []
        : [{ id: commandId, time, connection, opened: time, worker: undefined, refused: outcome === "refused" }],
    );
}

/** Every unit that a CAD was sent anything about. */
const unitsOf = (cad: Cad): string[] => [
  ...new Set(
    cad.ledger
      .entries({ limit: 100_000 })
      .flatMap(({ payload }) => (payload as { unitId?: string } | null)?.unitId ?? []),
  ),
];

const counts = (owners: Record<string, string>): number[] =>
  [...Map.groupBy(Object.values(owners), (worker) => worker).values()].map((of) => of.length).toSorted((x, y) => x - y);

const ready = async (several: Several) => {
  const { body } = await several.get("/health");
  return Object.values(body["cads"] as Record<string, { bridge: { ready: boolean } }>).filter((cad) => cad.bridge.ready)
    .length;
};

test("five CADs and three workers: fair shares, a kill, a CAD that is down, a new worker; each CAD in order and nothing lost", async () => {
  const several = await startSeveral(FIVE);
  const { owners } = several;
  const cad = (id: string) => several.cads.get(id) ?? expect.unreachable();

  const first = await several.startWorker("one");
  await until("the only worker leads all", async () => counts(await owners()).join() === "5", 30_000);
  await until("all CADs are ready", async () => (await ready(several)) === 5, 30_000);
  const producer = produce(several, IDS);

  await several.startWorker("two");
  await several.startWorker("three");
  await until("each has its share", async () => counts(await owners()).join() === "1,2,2", 30_000);
  await until("all CADs are ready", async () => (await ready(several)) === 5, 30_000);

  // One that is down delays no other.
  cad("e").switches.hang = true;
  const sent = await Promise.all(
    IDS.map((id) => several.post("/units/status", { unit_id: unitOf(id, 9), status: "available" })),
  );
  for (const { body } of sent.slice(0, 4))
    expect(isFinal((await several.settled(body["command_id"], 15_000)).status)).toBe(true);
  expect(await several.get(`/commands/${String(sent[4]?.body["command_id"])}`)).toMatchObject({
    body: { status: expect.stringMatching(/queued|sent/) },
  });

  first.kill("SIGKILL");
  await first.exited;
  const killed = performance.now();
  await until("others lead what it led", async () => {
    const now = await owners();
    return Object.keys(now).length === 5 && !Object.values(now).includes("one");
  });
  expect(performance.now() - killed).toBeLessThan(5000);
  await until("the shares are even", async () => counts(await owners()).join() === "2,3", 20_000);

  cad("e").switches.hang = false;
  await several.startWorker("four");
  await until("the new worker has its share", async () => counts(await owners()).join() === "1,2,2", 30_000);
  await producer.stop();

  for (const id of IDS) {
    const accepted = producer.accepted.get(id) ?? [];
    expect(accepted.length).toBeGreaterThan(10);
    const receipts = new Map<string, { status: string; reason: string | null }>();
    for (const command of accepted) receipts.set(command.id, await several.settled(command.id, 30_000));
    const left = { outbox: [], jobs: {} };
    const { violations } = check({ accepted, arrivals: arrivalsOf(cad(id)), receipts, left, owners: [], stalls: [] });
    expect({ id, violations }).toEqual({ id, violations: [] });
    expect(unitsOf(cad(id)).filter((unit) => !unit.startsWith(id.toUpperCase()))).toEqual([]);
  }
  expect((await several.get("/status")).body["cads"]).toMatchObject(
    Object.fromEntries(IDS.map((id) => [id, { unaccounted: 0 }])),
  );
}, 120_000);
