import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createAdaptorServer } from "@hono/node-server";
import { Hono } from "hono";
import { createLog } from "../../../shared/util/log.ts";
import { outboxKeys } from "../../../shared/redis/keys.ts";
import { openJobQueue } from "../../../shared/outbox/queue.ts";
import { connectRedis } from "../../../shared/redis/redis.ts";
import { nowMs } from "../measure/clock.ts";
import { serve, startHelper } from "../load/helper.ts";
import type { Rig } from "./rig.ts";

/**
 * Baseline for POST: the minimum that a service on the same libraries does. `/json` parses the body and answers with the
 * time of receipt; `/add` also adds a BullMQ job, with the options of our own queue. No token, validation or order.
 */
export type BareQuestions = { port: { takes: null; answers: number } };

export interface BareServer {
  pid: number;
  port: number;
  stop(): Promise<void>;
}

export async function startBareServer(rig: Rig): Promise<BareServer> {
  const helper = await startHelper<BareQuestions>(import.meta.filename, join(rig.dir, "bare.log"), {
    REDIS_URL: rig.redis.url,
  });
  return { pid: helper.pid, port: await helper.ask("port", null, ASK_WITHIN_MS), stop: helper.stop };
}
const ASK_WITHIN_MS = 5000;

if (import.meta.main) {
  const { log } = createLog({ name: "bare", level: "warn" });
  const redis = connectRedis({ REDIS_URL: process.env["REDIS_URL"] ?? "" }, "request", log);
  await new Promise((resolve) => redis.once("ready", resolve));
  const queue = openJobQueue(redis, outboxKeys("bare"), log);

  const app = new Hono();
  app.post("/json", async (c) => {
    const command_id = String(nowMs());
    await c.req.json();
    return c.json({ success: true, command_id }, 202);
  });
  app.post("/add", async (c) => {
    await c.req.json();
    await queue.add([crypto.randomUUID()]);
    return c.json({ success: true }, 202);
  });
  const server = createAdaptorServer({ fetch: app.fetch });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  serve<BareQuestions>({ port: () => (server.address() as AddressInfo).port });
}
