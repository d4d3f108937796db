import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { expect, inject, onTestFinished, test } from "vitest";
import { createChannelSubscriber } from "../../functions/backend/channel-subscriber.ts";
import { redisFault } from "../../shared/redis/fault.ts";
import { startRedis } from "../../tools/setup/redis.ts";
import { freshPrefix } from "../support/redis.ts";
import { until } from "../../tools/support/until.ts";

async function fresh() {
  const channel = `${freshPrefix()}:settled`;
  const [subscriber, publisher] = [new Redis(inject("redisUrl")), new Redis(inject("redisUrl"))];
  onTestFinished(() => [subscriber, publisher].forEach((redis) => redis.disconnect()));
  await until("it is connected", () => subscriber.status === "ready");
  return { channel, subscriber, publisher, waiter: createChannelSubscriber(subscriber) };
}

test("a word on the channel ends the wait, also one that came while it was looked", async () => {
  const { channel, publisher, waiter } = await fresh();
  await waiter.during(channel, 60_000, async (news) => {
    for (let i = 0; i < 2; i += 1) {
      await publisher.publish(channel, "confirmed");
      expect(await news()).toBe(true);
    }
  });
});

test("a message published while disconnected is not waited for: the subscriber checks again", async () => {
  const { channel, subscriber, publisher, waiter } = await fresh();
  await waiter.during(channel, 60_000, async (news) => {
    subscriber.disconnect();
    await until("it is cut", () => subscriber.status === "end");
    await publisher.publish(channel, "confirmed");
    await subscriber.connect();
    expect(await news()).toBe(true);
    // It listens again.
    await publisher.publish(channel, "confirmed");
    expect(await news()).toBe(true);
  });
});

test("without a word it ends when its time has passed, and at once when the host stops", async () => {
  const { channel, waiter } = await fresh();
  expect(await waiter.during(channel, 20, (news) => news())).toBe(false);
  const waiting = waiter.during(channel, 60_000, (news) => news());
  waiter.stop();
  expect(await waiting).toBe(false);
});

test("a Redis that hangs while it is asked to listen counts as one that is away", async () => {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-waiter-"));
  const redis = await startRedis({ dir });
  const subscriber = new Redis(redis.url);
  onTestFinished(async () => {
    subscriber.disconnect();
    redis.process.kill("SIGCONT");
    await redis.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  await subscriber.ping();
  redis.process.kill("SIGSTOP");
  const waited = createChannelSubscriber(subscriber).during("a channel", 10, async () => "looked");
  expect(await waited.catch(redisFault)).toBe("unavailable");
});
