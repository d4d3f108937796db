import { createServer } from "node:http";
import { type Found, found, type HealthStatus, statusOf } from "../../shared/health/problems.ts";
import { createProblemTracker } from "../../shared/health/problem-tracker.ts";
import { answerScrape } from "../../shared/metrics/scrape-response.ts";
import { closeNow, listenOn } from "../../shared/util/listen.ts";
import type { WorkerHealth } from "../../shared/health/worker-health.ts";

/** What the worker process knows without asking Redis. */
export interface OwnState {
  instance: string;
  role: "owner" | "standby";
  redis: boolean;
  /** When Redis last answered; undefined if it never did. */
  redisAnswered: Date | undefined;
  health: WorkerHealth | undefined;
  /** Problems beside those of the leader's health. */
  more: readonly Found[];
}

/** All problems that the process knows of. */
export function ownProblems({ redis, redisAnswered, health, more }: OwnState): Found[] {
  const silent = redis || more.length > 0 ? [] : [found("redis-unavailable", {}, { since: redisAnswered })];
  return [...silent, ...more, ...(health?.problems ?? [])];
}

/** What GET /health answers. `ok`: with 200, not 503. */
export interface HealthReport {
  ok: boolean;
  body: { status: HealthStatus } & Record<string, unknown>;
}

/**
 * Reports of one CAD: ok while the process does what it is there for (it owns the CAD, or stands by), and not when it cannot
 * reach Redis, or when the store is not its CAD's. `degraded`, but ok, while something waits or stands still: `problems` says what.
 */
export function createHealthReport(): (state: OwnState) => HealthReport {
  const tracker = createProblemTracker(Date.now);
  return (now) => {
    const { redis, redisAnswered: _, health, more, ...own } = now;
    const problems = tracker.follow(ownProblems(now));
    const body = { status: statusOf(problems), problems, redis, ...own, bridge: health ?? null };
    return { ok: redis && more.length === 0, body };
  };
}

/** The worker's own GET /health and GET /metrics. */
export async function startHealthServer(
  host: string,
  port: number,
  report: () => HealthReport,
  metrics: () => Promise<string> = async () => "",
): Promise<{ port: number; stop(): Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.method === "GET" && request.url === "/metrics") return answerScrape(response, metrics());
    const known = request.method === "GET" && request.url === "/health";
    const { ok, body } = known
      ? report()
      : { ok: false, body: { error: "only GET /health and GET /metrics are here" } };
    response.writeHead(!known ? 404 : ok ? 200 : 503, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  });
  server.requestTimeout = 5000;
  return { port: await listenOn(server, host, port), stop: () => closeNow(server) };
}
