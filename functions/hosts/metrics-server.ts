import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { EXPOSITION_TYPE } from "../../shared/metrics/exposition.ts";
import type { Scrape } from "../routes/metrics.ts";

/** How long a client may take for its request, ms. */
const REQUEST_MS = 5000;

/** GET /metrics at an address of its own, without a token: who may reach it is up to the network. */
export async function startMetricsServer(
  host: string,
  port: number,
  scrape: Scrape,
): Promise<{ port: number; stop(): Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.method !== "GET" || request.url !== "/metrics") return void response.writeHead(404).end();
    scrape().then(
      (text) => response.writeHead(200, { "content-type": EXPOSITION_TYPE }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  server.requestTimeout = REQUEST_MS;
  server.maxConnections = 100;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
