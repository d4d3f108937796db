import { z } from "zod";
import { HEARTBEAT_LIMIT_S } from "../../shared/health/worker-health.ts";
import { Problem } from "../http/problem.ts";
import { sleep } from "../../shared/util/sleep.ts";
import type { Backend } from "../backend/backend.ts";
import { trustedHeartbeat } from "../backend/health-calls.ts";

/** How long the bridge may take to be ready again, and how often it is polled, ms. */
const READY_WITHIN_MS = 10_000;
const ASK_MS = 100;

export const reconnectAnswer = z.object({
  success: z.literal(true),
  message: z.string(),
  connection_attempts: z.int(),
});

/**
 * Asks the worker for a new connection and waits until it is ready. Throws a Problem: 503 without a worker, 504 if it is
 * not ready in time. Success always refers to the new connection.
 */
export async function reconnect(backend: Backend): Promise<z.output<typeof reconnectAnswer>> {
  const started = performance.now();
  const before = trustedHeartbeat(await backend.lastHeartbeat());
  if (!before || before.health.stopped || before.ageSeconds > HEARTBEAT_LIMIT_S) {
    throw new Problem("no-worker", "No worker is running that could reconnect.");
  }
  if ((await backend.askReconnect()) === 0) throw new Problem("no-worker", "No worker received the request.");
  let health = before.health;
  while (performance.now() - started < READY_WITHIN_MS) {
    await sleep(ASK_MS);
    health = trustedHeartbeat(await backend.lastHeartbeat())?.health ?? health;
    const anew = health.epoch !== before.health.epoch || health.connections > before.health.connections;
    if (anew && health.ready) {
      return {
        success: true,
        message: "The bridge is ready on a new connection.",
        connection_attempts: health.connection_attempts,
      };
    }
  }
  const why = health.last_error ? ` Last error: ${health.last_error}.` : "";
  throw new Problem("reconnect-timeout", `The bridge was not ready on a new connection within 10 s.${why}`);
}
