import { expect, test } from "vitest";
import { CALL_MS } from "../../functions/hosts/edge/calls.ts";
import { CallsUsedUp, remoteBackend, type RemoteOptions } from "../../functions/hosts/edge/remote-backend.ts";
import { redisFault } from "../../shared/redis/fault.ts";
import { keptLog } from "../support/log.ts";

/** A backend whose Durable Objects do what is given: no real one hangs or breaks when a test wants it to. */
function backendOver(call: (shard: string) => Promise<unknown>, shards = 1, random = () => 0) {
  const { log, lines } = keptLog();
  const objects = { getByName: (name: string) => ({ call: () => call(name) }) } as unknown as RemoteOptions["objects"];
  return { backend: remoteBackend({ objects, prefix: "p", shards, random, log }), lines };
}
const fault = (answer: Promise<unknown>) => answer.then(() => "none", redisFault);

test("a call of an object that never answers ends by its deadline, as Redis being away", async () => {
  const { backend, lines } = backendOver(() => new Promise(() => undefined));
  const asked = performance.now();
  expect(await fault(backend.read("x"))).toBe("unavailable");
  expect(performance.now() - asked).toBeLessThan(CALL_MS.read + 500);
  expect(lines).toMatchObject([{ level: "warn", fields: { call: "read", shard: 0 } }]);
});

test("a broken object counts as Redis being down, since the outcome of the call is unknown", async () => {
  const { backend } = backendOver(() => Promise.reject(new Error("Network connection lost.")));
  expect(await fault(backend.backlog())).toBe("unavailable");
});

test.each(["full", "unavailable"] as const)(
  "that Redis is %s is told as such, although no class was kept",
  async (f) => {
    expect(await fault(backendOver(async () => ({ ok: false, fault: f })).backend.read("x"))).toBe(f);
  },
);

test("an unexpected error is not reported as a Redis fault", async () => {
  const { backend } = backendOver(async () => ({ ok: false, fault: "unforeseen" }));
  await expect(backend.read("x")).rejects.toThrow(/failed in the durable object/);
  expect(await fault(backend.read("x"))).toBeUndefined();
});

test("calls are spread over all shards, and over no others", async () => {
  const asked = new Set<string>();
  let n = 0;
  const note = async (shard: string) => {
    asked.add(shard);
    return { ok: true, value: undefined };
  };
  const { backend } = backendOver(note, 3, () => (n++ % 100) / 100);
  for (let i = 0; i < 100; i += 1) await backend.read("x");
  expect([...asked].toSorted()).toEqual(["p:0", "p:1", "p:2"]);
});

test("reaching the platform's call limit is not an outage: a stream ends and the client reconnects", async () => {
  const { backend, lines } = backendOver(() =>
    Promise.reject(new Error("Too many subrequests by single Worker invocation.")),
  );
  await expect(backend.readEvents("1-1", 1, 0)).rejects.toThrow(CallsUsedUp);
  expect(await fault(backend.readEvents("1-1", 1, 0))).toBeUndefined();
  expect(lines).toEqual([]);
});
