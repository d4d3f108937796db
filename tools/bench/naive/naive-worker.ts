import { Worker } from "bullmq";
import { Redis } from "ioredis";
import { io } from "socket.io-client";
import { nowMs } from "../measure/clock.ts";
import { serve } from "../load/helper.ts";
import { NAIVE_QUEUE, type NaiveJob } from "./naive-functions.ts";

/** The worker of the naive bridge: each job is one `emitWithAck`, 64 concurrently, in any order. */
export type NaiveWorkerQuestions = {
  /** Number of commands acked by the CAD. */
  done: { takes: null; answers: number };
};

const CONCURRENCY = 64;
const ACK_WITHIN_MS = 5000;

if (import.meta.main) {
  const socket = io(process.env["CAD_BACKEND_URL"] ?? "", {
    transports: ["websocket"],
    auth: { token: process.env["CAD_BACKEND_AUTH_TOKEN"] },
  });
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  let done = 0;
  const worker = new Worker<NaiveJob>(
    NAIVE_QUEUE,
    async ({ data: { id, body } }) => {
      const payload = { unitId: body.unit_id, status: body.status };
      const context = { commandId: id, issuedAt: new Date().toISOString() };
      await socket.timeout(ACK_WITHIN_MS).emitWithAck("unit:status", { ...payload, context });
      done += 1;
    },
    {
      connection: new Redis(process.env["REDIS_URL"] ?? "", { maxRetriesPerRequest: null }),
      concurrency: CONCURRENCY,
    },
  );
  worker.on("failed", (job, error) => console.error(nowMs(), job?.id, error.message));
  worker.on("error", (error) => console.error(nowMs(), error.message));
  serve<NaiveWorkerQuestions>({ done: () => done });
}
