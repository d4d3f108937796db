/**
 * node --import, for the simulator: also writes its ledger to the file CHAOS_LEDGER, each emit before it is handled, so
 * that it survives a kill -9 of the process. Records the source port of each connection, which identifies the worker.
 */
import { openSync, writeSync } from "node:fs";
import { Socket } from "socket.io";
import { History } from "../../simulator/history.ts";
import { Ledger } from "../../simulator/ledger.ts";
import { markOf } from "../../simulator/payload.ts";
import type { LedgerLine } from "../check/cad-ledger.ts";

const file = openSync(process.env["CHAOS_LEDGER"] ?? "", "a");
const life = Number(process.env["CHAOS_LIFE"] ?? 0);
const write = (line: LedgerLine) => void writeSync(file, `${JSON.stringify(line)}\n`);
/** Numbers connections and emits across restarts of the CAD. */
const inAllLives = (number: number) => life * 1_000_000 + number;

// The simulator numbers a connection right before it starts listening to its events.
let connections = 0;
const onAny = Socket.prototype.onAny;
Socket.prototype.onAny = function (listener) {
  connections += 1;
  const port = this.conn.request.socket.remotePort ?? 0;
  write({ what: "connection", connection: inAllLives(connections), port, time: Date.now() });
  return onAny.call(this, listener);
};

let emits = 0;
const record = Ledger.prototype.record;
Ledger.prototype.record = function (emit) {
  const id = markOf(emit.payload)?.commandId;
  const finish = record.call(this, emit);
  if (id === undefined) return finish;
  const emitted = inAllLives((emits += 1));
  write({ what: "emit", emitted, connection: inAllLives(emit.connection), id, time: Date.now() });
  return (outcome) => {
    write({ what: "outcome", emitted, outcome });
    finish(outcome);
  };
};

// Broadcasts to all clients, with the ids under which the journal must hold them.
const add = History.prototype.add;
History.prototype.add = function (event, payload, room, at, keep) {
  const marked = add.call(this, event, payload, room, at, keep);
  const { eventId } = (marked ?? {}) as { eventId?: unknown };
  // The bridge may report a transport before the CAD does; the journal then has it without the CAD's id.
  if (room === undefined && event !== "transport:completed" && typeof eventId === "string")
    write({ what: "broadcast", eventId });
  return marked;
};
