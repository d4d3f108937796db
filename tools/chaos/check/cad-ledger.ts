import { closeSync, existsSync, openSync, readSync } from "node:fs";
import type { EmitOutcome } from "../../simulator/ledger.ts";
import type { Arrival } from "./checker.ts";

/** A line of the file that preload-ledger.ts writes in the CAD's process. Times in ms since 1970. */
export type LedgerLine =
  | { what: "connection"; connection: number; port: number; time: number }
  | { what: "emit"; emitted: number; connection: number; id: string; time: number }
  | { what: "outcome"; emitted: number; outcome: EmitOutcome }
  | { what: "broadcast"; eventId: string };

/** What the CAD has received so far, read from a file that survives its process. */
export interface CadLedger {
  readonly arrivals: readonly Arrival[];
  /** The ids of its broadcasts to all clients, without repeats, in order; empty for a CAD that assigns no ids. */
  readonly broadcasts: readonly string[];
  /** Reads the lines added since the last call. */
  poll(): void;
}

const CHUNK = 1 << 20;

/** @param workerAt returns the worker that owns a connection's source port */
export function openCadLedger(file: string, workerAt: (port: number) => string | undefined): CadLedger {
  const arrivals: Arrival[] = [];
  const broadcasts: string[] = [];
  const byEmit = new Map<number, Arrival>();
  const connections = new Map<number, { worker: string | undefined; opened: number }>();
  const chunk = Buffer.alloc(CHUNK);
  let position = 0;
  let rest = "";

  function take(line: LedgerLine): void {
    if (line.what === "connection") {
      connections.set(line.connection, { worker: workerAt(line.port), opened: line.time });
    } else if (line.what === "emit") {
      const { worker, opened = 0 } = connections.get(line.connection) ?? {};
      const { id, time, connection } = line;
      const arrival: Arrival = { id, time, connection, opened, worker, refused: false };
      arrivals.push(arrival);
      byEmit.set(line.emitted, arrival);
    } else if (line.what === "broadcast") broadcasts.push(line.eventId);
    else {
      const arrival = byEmit.get(line.emitted);
      if (arrival) arrival.refused = line.outcome === "refused";
    }
  }

  return {
    arrivals,
    broadcasts,
    poll() {
      if (!existsSync(file)) return;
      const fd = openSync(file, "r");
      try {
        for (let read = 0; (read = readSync(fd, chunk, 0, CHUNK, position)) > 0; position += read) {
          const lines = (rest + chunk.toString("utf8", 0, read)).split("\n");
          rest = lines.pop() ?? "";
          for (const line of lines) take(JSON.parse(line) as LedgerLine);
        }
      } finally {
        closeSync(fd);
      }
    },
  };
}
