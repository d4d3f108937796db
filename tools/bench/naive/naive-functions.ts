import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { Queue } from "bullmq";
import { Hono } from "hono";
import { Redis } from "ioredis";
import { jwtVerify } from "jose";
import { z } from "zod";
import { serve } from "../load/helper.ts";

/**
 * The HTTP side of a bridge written in an hour, as a baseline: checks the token and the body, and adds one BullMQ job per
 * command. No order, receipts, idempotency keys, limits or audit trail.
 */
export type NaiveFunctionsQuestions = { port: { takes: null; answers: number } };

/** Shared by its two sides. */
export const NAIVE_QUEUE = "naive";
export interface NaiveJob {
  id: string;
  body: { unit_id: string; status: string };
}

if (import.meta.main) {
  const redis = new Redis(process.env["REDIS_URL"] ?? "", { maxRetriesPerRequest: null });
  const queue = new Queue<NaiveJob>(NAIVE_QUEUE, {
    connection: redis,
    defaultJobOptions: { removeOnComplete: true, removeOnFail: true, attempts: 3 },
  });
  const secret = new TextEncoder().encode(process.env["JWT_SECRET"]);
  const schema = z.object({ unit_id: z.string().min(1), status: z.string().min(1) });

  const app = new Hono();
  app.post("/units/status", async (c) => {
    const token = c.req.header("Authorization")?.slice("Bearer ".length) ?? "";
    await jwtVerify(token, secret);
    const body = schema.parse(await c.req.json());
    const id = crypto.randomUUID();
    await queue.add("emit", { id, body });
    return c.json({ success: true, command_id: id }, 202);
  });
  const server = createAdaptorServer({ fetch: app.fetch });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  serve<NaiveFunctionsQuestions>({ port: () => (server.address() as AddressInfo).port });
}
