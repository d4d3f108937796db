import { expect, test } from "vitest";
import { createLimiter } from "../../functions/middleware/rate-limits.ts";
import { openRateLimiter } from "../../functions/backend/redis-rate-limiter.ts";
import type { Granted, Quotas } from "../../functions/config/quotas.ts";
import { freshBackend } from "../support/redis.ts";

/** While it is not connected, Redis is not asked. */
async function connected() {
  const backend = freshBackend();
  await backend.redis.ping();
  return backend;
}

const quotas = (token: number): Quotas => ({
  token,
  "latest-wins": token,
  "token-bytes": token * 1000,
  address: 0,
  unauthenticated: 0,
  windowSeconds: 60,
  readsAtOnce: 0,
});
const now = () => performance.now();

/** A process of its own: its share of what Redis counts. */
function processOn({ redis, keys }: Pick<ReturnType<typeof freshBackend>, "redis" | "keys">, token: number) {
  let asked = 0;
  const take = openRateLimiter(redis, keys, quotas(token));
  const limiter = createLimiter(quotas(token), (...args) => ((asked += 1), take(...args)), now);
  const admitted = async (count: number, client = "a", atOnce = 50) => {
    let all = 0;
    for (let done = 0; done < count; done += atOnce) {
      const answers = await Promise.all(Array.from({ length: atOnce }, () => limiter("token", client)));
      all += answers.filter((answer) => answer.admitted).length;
    }
    return all;
  };
  return { limiter, admitted, asked: () => asked };
}

test.each([1, 7, 100, 2000, 30_000])(
  "of a quota of %i exactly that many are admitted, however many come at once",
  async (quota) => {
    const one = processOn(await connected(), quota);
    expect(await one.admitted(quota + 500)).toBe(quota);
    expect(await one.limiter("token", "a")).toMatchObject({ admitted: false, remaining: 0, first: false });
    expect(await one.limiter("token", "b")).toMatchObject({ admitted: true, remaining: quota - 1 });
  },
);

test("several processes together admit no more than the quota, and nearly all of it", async () => {
  const backend = await connected();
  const processes = Array.from({ length: 4 }, () => processOn(backend, 2000));
  const admitted = await Promise.all(processes.map((one) => one.admitted(1000)));
  const sum = admitted.reduce((a, b) => a + b, 0);
  expect(sum).toBeLessThanOrEqual(2000);
  // What a process was granted last and did not use, at most.
  expect(sum).toBeGreaterThanOrEqual(2000 - 4 * 20);
});

test("Redis is asked about once for 200 requests, and not at all for one who is beyond the quota", async () => {
  const one = processOn(await connected(), 20_000);
  await one.admitted(20_000);
  const asked = one.asked();
  expect(asked).toBeLessThan(200);
  await one.admitted(5000);
  expect(one.asked()).toBeLessThanOrEqual(asked + 1);
});

test("the full quota is available again once the window ends", async () => {
  const backend = await connected();
  const short = { ...quotas(5), windowSeconds: 1 };
  const limiter = createLimiter(short, openRateLimiter(backend.redis, backend.keys, short), now);
  for (let i = 0; i < 5; i += 1) expect(await limiter("token", "a")).toMatchObject({ admitted: true, resetSeconds: 1 });
  expect(await limiter("token", "a")).toMatchObject({ admitted: false, first: true });
  expect(await limiter("token", "a")).toMatchObject({ admitted: false, first: false });
  const began = now();
  while (!(await limiter("token", "a")).admitted) expect(now() - began).toBeLessThan(3000);
});

test("while Redis is away each process counts for itself, and nobody waits for it", async () => {
  const { redis, keys } = await connected();
  const one = processOn({ redis, keys }, 100);
  expect(await one.admitted(50)).toBe(50);
  redis.disconnect();
  const began = now();
  expect(await one.admitted(500)).toBeLessThanOrEqual(101);
  expect(now() - began).toBeLessThan(2000);
});

test("if nobody can be asked at all, nobody is refused for that", async () => {
  const limiter = createLimiter(quotas(5), () => Promise.reject(new Error("away")), now);
  for (let i = 0; i < 20; i += 1) expect((await limiter("token", "a")).admitted).toBe(true);
});

test("the memory of clients is bounded, whoever comes", async () => {
  const seen: string[] = [];
  const take = async (_policy: string, client: string, points: number): Promise<Granted> => {
    seen.push(client);
    return { granted: points, remaining: 100, resetMs: 60_000 };
  };
  const limiter = createLimiter(quotas(1000), take, now);
  for (let n = 0; n < 25_000; n += 1) await limiter("token", `client-${n}`);
  await limiter("token", "client-24999");
  await limiter("token", "client-0");
  expect(seen).toHaveLength(25_001);
});

test("of a quota in bytes as much is admitted as fits into it, whatever the sizes", async () => {
  const backend = await connected();
  const take = openRateLimiter(backend.redis, backend.keys, quotas(100));
  const limiter = createLimiter(quotas(100), take, now);
  let sent = 0;
  for (let i = 0; i < 400; i += 1) if ((await limiter("token-bytes", "a", 700)).admitted) sent += 700;
  expect(sent).toBeLessThanOrEqual(100_000);
  expect(sent).toBeGreaterThan(100_000 - 700 - 1000);
  expect(await limiter("token-bytes", "b", 100_001)).toMatchObject({ admitted: false });
});
