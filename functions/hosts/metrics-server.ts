import { createServer } from "node:http";
import { answerScrape } from "../../shared/metrics/scrape-response.ts";
import { closeNow, listenOn } from "../../shared/util/listen.ts";
import type { Scrape } from "../routes/metrics.ts";

/** Time limit for a client's request, ms. */
const REQUEST_MS = 5000;

/** GET /metrics at a separate address, without a token: access is controlled by the network. */
export async function startMetricsServer(
  host: string,
  port: number,
  scrape: Scrape,
): Promise<{ port: number; stop(): Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.method !== "GET" || request.url !== "/metrics") return void response.writeHead(404).end();
    answerScrape(response, scrape());
  });
  server.requestTimeout = REQUEST_MS;
  server.maxConnections = 100;
  return { port: await listenOn(server, host, port), stop: () => closeNow(server) };
}
