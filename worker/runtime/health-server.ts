import { createServer } from "node:http";
import { type Found, found, statusOf } from "../../shared/health/problems.ts";
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

/**
 * The worker's own GET /health and GET /metrics. 200 while the process leads or stands by, also when something waits or is
 * stalled (`degraded`); 503 when it cannot reach Redis, or when the store belongs to another CAD.
 */
export async function startHealthServer(
  host: string,
  port: number,
  state: () => OwnState,
  metrics: () => Promise<string> = async () => "",
): Promise<{ port: number; stop(): Promise<void> }> {
  const tracker = createProblemTracker(Date.now);
  const server = createServer((request, response) => {
    if (request.method === "GET" && request.url === "/metrics") return answerScrape(response, metrics());
    const known = request.method === "GET" && request.url === "/health";
    const now = state();
    const { redis, redisAnswered: _, health, more, ...own } = now;
    const problems = tracker.follow(ownProblems(now));
    const status = statusOf(problems);
    const report = { status, problems, redis, ...own, bridge: health ?? null };
    const body = known ? report : { error: "only GET /health and GET /metrics are here" };
    response.writeHead(!known ? 404 : redis && more.length === 0 ? 200 : 503, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  });
  server.requestTimeout = 5000;
  return { port: await listenOn(server, host, port), stop: () => closeNow(server) };
}
