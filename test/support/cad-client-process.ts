import { type CadConnection, startCadConnection } from "../../worker/cad/connection.ts";
import { noLog } from "../../shared/util/log.ts";
import type { Order, Report } from "./cad-client.ts";

/** See cad-client.ts: it connects where it is ordered to, and reports. */
let order = 0;
let connections: CadConnection[] = [];

function start(url: string, atOnce: boolean): CadConnection {
  const connection: CadConnection = startCadConnection({
    endpoint: { url },
    token: () => "The-CAD-token",
    rooms: { all: async () => [], note: () => undefined },
    modeOf: () => "auto",
    times: { confirmMs: 1000, authWaitMs: 1000, barrierHoldMs: 0, barrierTimeoutMs: 2000, barrierIdleMs: 500 },
    onEvent: async () => true,
    onOpen: () => undefined,
    onChange() {
      if (atOnce && !connection.status().ready) connection.reconnect();
    },
    random: Math.random,
    log: noLog,
  });
  return connection;
}

process.on("message", (given: Order) => {
  for (const old of connections) void old.stop();
  order = given.order;
  connections = Array.from({ length: given.connections }, () => start(given.url, given.atOnce));
});
process.on("disconnect", () => process.exit());

setInterval(() => {
  const statuses = connections.map((connection) => connection.status());
  const status = statuses.find(({ ready }) => !ready) ?? statuses[0];
  if (!status) return;
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  process.send?.({ order, status, rss, held: heapUsed + external } satisfies Report);
}, 200);
