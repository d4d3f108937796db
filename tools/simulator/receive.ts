import type { Socket } from "socket.io";
import { BoundedMap } from "../../shared/util/bounded-map.ts";
import type { Character } from "./characters.ts";
import { REPLAY_EVENT } from "../../shared/events/replay.ts";
import { AUTHENTICATE, COMMAND_EVENTS, type CommandRow, databaseError, echoOf, ROOM_EVENTS } from "./events.ts";
import { History, type ReplayAnswer } from "./history.ts";
import type { Ledger, EmitOutcome } from "./ledger.ts";
import { incidentIdOf, isRecord, markOf } from "./payload.ts";
import { Store } from "./store.ts";
import type { Random } from "./random.ts";
import { type Switches, take } from "./switches.ts";

/** The payload of the CAD's acks. */
export type Answer = { success: true } | { success: false; error: string; retryable?: true };

/** What survives a restart of the CAD's process. */
export interface Database {
  store: Store;
  handledCommands: BoundedMap<string, true>;
  history: History;
}

export const createDatabase = (max = 1_000_000): Database => ({
  store: new Store(max),
  handledCommands: new BoundedMap(max),
  history: new History(Date.now()),
});

export interface ReceiverDeps {
  character: Character;
  /** The token accepted now. */
  token: () => string;
  switches: Switches;
  random: Random;
  ledger: Ledger;
  database: Database;
  /** Runs it later; never while the process hangs or after it has died. */
  later(ms: number, run: () => void): void;
  broadcast(event: string, payload: unknown, room?: string): void;
  crash(reason: string): void;
  /** The CAD's console; never receives a payload. */
  log(message: string): void;
}

export type Receive = (socket: Socket, connection: number, event: string, args: unknown[]) => void;

/** Handles every emit to the CAD's process. One instance per lifetime of the process. */
export function createReceiver(deps: ReceiverDeps): Receive {
  const { character, switches, ledger, database, random } = deps;
  const inProgress = new Map<string, ((answer: Answer) => void)[]>();

  return (socket, connection, event, args) => {
    const { payload, ack } = parse(args);
    const kept = KEPT_INSTEAD[event] ?? payload ?? null;
    const finish = ledger.record({ connection, event, payload: kept });
    const reply = character.acks ? ack : undefined;
    const room = ROOM_EVENTS.get(event);
    const row = COMMAND_EVENTS.get(event);
    if (event === AUTHENTICATE) authenticate(socket, payload, reply, finish);
    else if (event === REPLAY_EVENT && character.replays) replay(socket, payload, reply, finish);
    else if (room) {
      void socket[room.action](`${room.kind}:${String(payload)}`);
      finish("applied");
      reply?.({ success: true });
    } else if (row && (character.handlesEverything || !row.modernOnly)) {
      if (row.nullIsDeadly && isDeadly(payload)) die(event, finish);
      else command(row, event, payload, reply, finish);
    } else finish("unhandled");
  };

  function authenticate(socket: Socket, payload: unknown, reply: Reply, finish: Finish): void {
    if (isDeadly(payload)) return die(AUTHENTICATE, finish);
    finish("applied");
    if (switches.authSilent) return;
    const accepted = !switches.authFails && isRecord(payload) && payload["token"] === deps.token();
    const answer: Answer = accepted ? { success: true } : { success: false, error: "Authentication failed" };
    socket.emit("authenticated", accepted ? { ...answer, source: "fastapi" } : answer);
    reply?.(answer);
  }

  function replay(socket: Socket, payload: unknown, reply: Reply, finish: Finish): void {
    finish("applied");
    const { replay: how } = switches;
    if (how === "answers") reply?.(database.history.answer(payload, (room) => socket.rooms.has(room)));
    else if (how === "refuses") reply?.({ success: false, error: "Replay is not available" });
    else if (how === "malformed") reply?.({ events: "all of them" });
  }

  function command(row: CommandRow, event: string, payload: unknown, reply: Reply, finish: Finish): void {
    const id = character.recognisesRepeats ? markOf(payload)?.commandId : undefined;
    const answer: Reply = reply && ((text) => take(switches, "dropAcks", random) || reply(text));
    if (id !== undefined) {
      const repeat = (first: Answer) => {
        finish("repeat");
        answer?.(first);
      };
      const waiting = inProgress.get(id);
      if (database.handledCommands.has(id)) return repeat({ success: true });
      if (waiting) return void waiting.push(repeat);
      inProgress.set(id, []);
    }
    const refusal = refuse(payload);
    const { min, max } = switches.delayMs;
    deps.later(min + random() * (max - min), () => {
      const [outcome, text] = refusal ?? apply(row, event, payload);
      finish(outcome);
      answer?.(text);
      if (id === undefined) return;
      if (text.success) database.handledCommands.set(id, true);
      const waiting = inProgress.get(id) ?? [];
      inProgress.delete(id);
      for (const repeat of waiting) repeat(text);
    });
  }

  /** Decided on arrival, so that "the next 3" means the next 3 to arrive. Quotes what it rejects, as many servers do. */
  function refuse(payload: unknown): Handled | undefined {
    if (take(switches, "refuse", random))
      return ["refused", { success: false, error: "Temporarily unavailable", retryable: true }];
    if (take(switches, "reject", random))
      return ["rejected", { success: false, error: `Rejected: ${JSON.stringify(payload)}` }];
    return undefined;
  }

  function apply(row: CommandRow, event: string, payload: unknown): Handled {
    const relayed = row.relay === true && !character.storesRelays;
    const error = relayed ? undefined : refusedByDatabase(event, payload);
    if (error) {
      deps.log(`${event}: ${error}`);
      return ["failed", { success: false, error, ...(switches.databaseDown && { retryable: true }) }];
    }
    const outcome = relayed ? "applied" : store(event, payload);
    if (outcome !== "unechoed" && !take(switches, "dropEchoes", random)) {
      const room = row.toUnitRoom && `unit:${String(isRecord(payload) ? payload["unitId"] : undefined)}`;
      deps.broadcast(row.echo, echoOf(row, payload, character.keepsExtraKeys), room);
    }
    return [outcome, { success: true }];
  }

  function refusedByDatabase(event: string, payload: unknown): string | undefined {
    if (!isRecord(payload)) return "the payload is not an object";
    if (switches.databaseDown) return "the database is down";
    // The real CAD has already written the unit's row when it looks up the incident: see `store`.
    const knows = (id: string) => (event === "unit:status" && !character.acks) || database.store.hasIncident(id);
    return switches.strict ? databaseError(event, payload, knows) : undefined;
  }

  function store(event: string, payload: unknown): "applied" | "unechoed" | "unchanged" {
    const fields = isRecord(payload) ? payload : {};
    const given = incidentIdOf(fields);
    const incident = typeof given === "string" || typeof given === "number" ? String(given) : undefined;
    if (event === "incident:created" && incident !== undefined) database.store.addIncident(incident);
    const { units, statusNeedsIncident, neverEchoed, strict } = switches;
    if (event.startsWith("unit:") && units !== "any" && !units.includes(String(fields["unitId"]))) return "unchanged";
    database.store.write(event, payload);
    const incidentFails =
      event === "unit:status" &&
      (incident === undefined ? statusNeedsIncident : strict && !database.store.hasIncident(incident));
    if (!neverEchoed.includes(event) && !incidentFails) return "applied";
    deps.log(`${event}: the timeline row failed after the write`);
    return "unechoed";
  }

  function isDeadly(payload: unknown): boolean {
    return payload == null && character.trustsPayloads;
  }

  function die(event: string, finish: Finish): void {
    finish("crashed");
    deps.crash(`${event} with a null payload`);
  }
}

/** Recorded in the ledger instead of a payload that is a secret or not a command. */
const KEPT_INSTEAD: Readonly<Record<string, string>> = {
  [AUTHENTICATE]: "(not kept: contains a token)",
  [REPLAY_EVENT]: "(a question)",
};

type Finish = (outcome: EmitOutcome) => void;
type Reply = ((answer: Answer | ReplayAnswer | { events: string }) => unknown) | undefined;
type Handled = [outcome: EmitOutcome, answer: Answer];

/** Socket.io passes the ack callback, if one was requested, as the last argument. */
function parse(args: unknown[]): { payload: unknown; ack: Reply } {
  const last = args.at(-1);
  if (typeof last !== "function") return { payload: args[0], ack: undefined };
  return { payload: args.length > 1 ? args[0] : undefined, ack: last as NonNullable<Reply> };
}
