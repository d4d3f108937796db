import { type Character, characters, type CharacterName } from "../../simulator/characters.ts";
import { REPLAY_EVENT } from "../../../shared/events/replay.ts";
import { AUTHENTICATE, ROOM_EVENTS } from "../../simulator/events.ts";
import { Ledger } from "../../simulator/ledger.ts";
import { createDatabase, createReceiver, type Database, type Receive } from "../../simulator/receive.ts";
import { createSwitches, type Switches } from "../../simulator/switches.ts";
import type { Process, Strike, World } from "../world/world.ts";

/** What a worker hears on its connection. */
export interface Hears {
  opened(recovered: boolean): void;
  refused(reason: string): void;
  ended(reason: string): void;
  event(event: string, payload: unknown, missed: boolean): void;
  barrier(): void;
}

/** A worker's end of a connection. */
export interface Wire {
  isOpen(): boolean;
  send(event: string, payload: unknown, ack?: (answer: unknown) => void): void;
  barrier(): void;
  /** Closes it. What was sent before arrives. */
  hangUp(): void;
}

interface Connection {
  number: number;
  worker: Process;
  hears: Hears;
  rooms: Set<string>;
  /** When it happened, ms. */
  opened: number;
  /** As the worker, and as the CAD knows it. */
  isOpen: boolean;
  isKnown: boolean;
  /** Nothing that is on its way arrives any more. */
  broken: boolean;
  /** The network drops everything without an error. */
  silent: boolean;
  lastToCad: number;
  lastToWorker: number;
}

/** An emit as it came to the CAD: `emitted` is when it left the worker. */
export interface Emitted {
  seq: number;
  emitted: number;
  connection: number;
  worker: string;
  opened: number;
}

/** Something that another client wrote, and the CAD broadcast. */
export interface Happened {
  event: string;
  payload: unknown;
  at: number;
}

const kindOf = (event: string): string =>
  event === AUTHENTICATE
    ? "authenticate"
    : event === REPLAY_EVENT
      ? "replay"
      : ROOM_EVENTS.has(event)
        ? "join"
        : "emit";

/** The CAD of a world: the simulator's own receiver, ledger and database, behind a simulated network instead of sockets. */
export class CadHost {
  readonly character: Character;
  readonly ledger: Ledger;
  readonly emitted: Emitted[] = [];
  /** The ids of what it broadcast to everybody since `owes`, in their order; none of a CAD that gives no ids. */
  readonly broadcasts: string[] = [];
  /** What other clients wrote. `at` is in ms since 1970. */
  readonly happened: Happened[] = [];
  /** A bridge has heard it, and noted so: from now on nothing may be missed in silence. */
  owes = false;
  readonly switches: Switches;
  database: Database | undefined;
  #process: Process | undefined;
  #receive: Receive | undefined;
  #connections: Connection[] = [];
  #count = 0;
  readonly #world: World;

  constructor(world: World, character: CharacterName) {
    this.#world = world;
    this.character = characters[character];
    this.ledger = new Ledger({ max: 100_000, now: () => world.epochMs() });
    this.switches = createSwitches({}, () => undefined);
    this.#begin();
  }

  /** A life of its process. */
  #begin(): void {
    const world = this.#world;
    this.#process = world.start("cad", () => {
      this.database ??= createDatabase(100_000);
      this.#receive = createReceiver({
        character: this.character,
        token: () => "token",
        switches: this.switches,
        random: () => world.roll("cad"),
        ledger: this.ledger,
        database: this.database,
        later: (ms, run) => void setTimeout(run, ms),
        broadcast: (event, payload, room) => this.broadcast(event, payload, room),
        crash: () => undefined,
        log: () => undefined,
      });
    });
  }

  /** In the CAD's own process. */
  broadcast(event: string, payload: unknown, room?: string): void {
    const { replays } = this.character;
    const marked =
      replays && this.database
        ? this.database.history.add(event, payload, room, this.#world.epochMs(), this.switches.remembers)
        : payload;
    if (room === undefined && replays && this.owes) this.broadcasts.push((marked as { eventId: string }).eventId);
    for (const connection of this.#connections)
      if (connection.isKnown && (room === undefined || connection.rooms.has(room)))
        this.#toWorker(connection, "event", () => connection.hears.event(event, marked, false));
  }

  /** Another client writes something, which the CAD then broadcasts: not without its database. */
  happen(event: string, payload: unknown): void {
    const process = this.#process;
    const write = () => {
      if (this.switches.databaseDown) return;
      this.happened.push({ event, payload, at: this.#world.epochMs() });
      this.broadcast(event, payload);
    };
    if (process) this.#world.after(0, `cad: ${event}`, process, write);
  }

  dial(worker: Process, token: string, hears: Hears): Wire {
    const world = this.#world;
    const connection: Connection = {
      ...{ number: 0, worker, hears, rooms: new Set<string>(), opened: 0, isOpen: false, isKnown: false },
      ...{ broken: false, silent: false, lastToCad: 0, lastToWorker: 0 },
    };
    const cad = this.#process;
    let over = false;
    const refuse = (reason: string) => world.after(0, "", worker, () => void (over || hears.refused(reason)));
    world.after(world.delay("dial"), "", undefined, () => {
      const strike = world.step("dial");
      if (strike?.fault === "crash before") return world.kill(worker);
      if (strike?.fault === "freeze") world.freeze(worker, strike.ms);
      if (strike?.fault === "refused" || !cad || cad.life === "dead" || cad !== this.#process)
        return void refuse("connect ECONNREFUSED");
      world.after(world.delay("accept"), "", cad, () => {
        if (over || worker.life === "dead") return;
        if (token !== "token") return void refuse("Authentication failed");
        connection.number = this.#count += 1;
        connection.opened = world.epochMs();
        connection.isKnown = true;
        this.#connections.push(connection);
        this.#toWorker(connection, "connect", () => {
          if (over) return;
          connection.isOpen = true;
          hears.opened(false);
        });
      });
      worker.onDeath.push(() => this.#forget(connection));
    });
    return {
      isOpen: () => connection.isOpen && !over,
      send: (event, payload, ack) =>
        this.#toCad(connection, kindOf(event), (at) => this.#handle(connection, event, payload, ack, at)),
      barrier: () =>
        this.#toCad(connection, "barrier", () => this.#toWorker(connection, "barrier answer", () => hears.barrier())),
      hangUp: () => {
        over = true;
        connection.isOpen = false;
        this.#forget(connection);
      },
    };
  }

  /** The CAD notices the end of a connection once everything that was sent on it has arrived. */
  #forget(connection: Connection): void {
    const ms = Math.max(0, connection.lastToCad - this.#world.now) + this.#world.delay("goodbye");
    this.#world.after(ms, "", undefined, () => this.#drop(connection));
  }

  #drop(connection: Connection): void {
    connection.isKnown = false;
    this.#connections = this.#connections.filter((each) => each !== connection);
  }

  #break(connection: Connection, reason: string): void {
    if (connection.broken) return;
    connection.broken = true;
    this.#drop(connection);
    this.#world.say(`connection ${connection.number} of ${connection.worker.name} breaks`);
    this.#world.after(this.#world.delay("break"), "", connection.worker, () => {
      if (!connection.isOpen) return;
      connection.isOpen = false;
      connection.hears.ended(reason);
    });
  }

  #toCad(connection: Connection, what: string, arrive: (emitted: number) => void): void {
    const world = this.#world;
    const { worker } = connection;
    // Once the code that sends has come to rest: a process dies between two steps, not in one.
    world.after(0, "", undefined, () => {
      if (worker.life === "dead" || connection.broken) return;
      const emitted = world.epochMs();
      const strike = world.step(`frame ${what}`);
      if (strike?.fault === "crash before") return world.kill(worker);
      if (strike?.fault === "cut before") return this.#break(connection, "transport close");
      if (strike?.fault === "half-open") connection.silent = true;
      connection.lastToCad = Math.max(world.now + world.delay("to the CAD"), connection.lastToCad);
      const cad = this.#process;
      world.after(connection.lastToCad - world.now, "", cad, () => {
        if (connection.broken || connection.silent || !connection.isKnown) return;
        if (strike) this.#prepare(strike);
        world.say(`cad hears ${what} from ${worker.name}`);
        arrive(emitted);
        if (strike?.fault === "cut after") this.#break(connection, "transport close");
        if (strike?.fault === "cad crash") world.after(0, "", undefined, () => this.crash(strike.ms));
        if (strike?.fault === "cad hang" && cad) world.after(0, "", undefined, () => world.freeze(cad, strike.ms));
      });
      if (strike?.fault === "crash after") world.kill(worker);
      if (strike?.fault === "freeze") world.freeze(worker, strike.ms);
    });
  }

  /** What the CAD is to do with the emit that comes now. */
  #prepare({ fault, ms }: Strike): void {
    const next = { next: 1 };
    if (fault === "refusal") this.switches.refuse = next;
    if (fault === "rejection") this.switches.reject = next;
    if (fault === "silence") {
      this.switches.dropEchoes = next;
      this.switches.dropAcks = next;
    }
    if (fault === "slow handler") {
      this.switches.delayMs = { min: ms, max: ms };
      this.#world.after(0, "", undefined, () => void (this.switches.delayMs = { min: 0.2, max: 5 }));
    }
    if (fault === "database stop") {
      this.switches.databaseDown = true;
      this.#world.say("the CAD's database stops");
      this.#world.after(ms, "the CAD's database returns", undefined, () => void (this.switches.databaseDown = false));
    }
  }

  /** kill -9; started again after so long. */
  crash(ms: number): void {
    if (!this.#process || this.#process.life === "dead") return;
    this.#world.kill(this.#process);
    for (const connection of this.#connections) this.#break(connection, "transport close");
    this.#world.after(ms, "", undefined, () => this.#begin());
  }

  #toWorker(connection: Connection, what: string, arrive: () => void): void {
    const world = this.#world;
    const { worker } = connection;
    world.after(0, "", undefined, () => {
      if (connection.broken || connection.silent) return;
      const strike = world.step(`frame ${what}`);
      if (strike?.fault === "cut before") return this.#break(connection, "transport close");
      if (strike?.fault === "half-open") return void (connection.silent = true);
      if (strike?.fault === "crash before") return world.kill(worker);
      if (strike?.fault === "freeze") world.freeze(worker, strike.ms);
      connection.lastToWorker = Math.max(world.now + world.delay("from the CAD"), connection.lastToWorker);
      world.after(connection.lastToWorker - world.now, "", worker, () => {
        if (connection.broken || connection.silent || (what !== "connect" && !connection.isOpen)) return;
        world.say(`${worker.name} hears ${what}`);
        arrive();
      });
    });
  }

  #handle(
    connection: Connection,
    event: string,
    payload: unknown,
    ack: ((answer: unknown) => void) | undefined,
    emitted: number,
  ): void {
    this.emitted.push({
      ...{ seq: this.emitted.length + 1, emitted, connection: connection.number },
      ...{ worker: connection.worker.name, opened: connection.opened },
    });
    const socket = {
      rooms: connection.rooms,
      join: (room: string) => void connection.rooms.add(room),
      leave: (room: string) => void connection.rooms.delete(room),
      emit: (name: string, answer: unknown) =>
        this.#toWorker(connection, "authenticated", () => connection.hears.event(name, answer, false)),
    };
    const answered = ack && ((answer: unknown) => this.#toWorker(connection, "ack", () => ack(answer)));
    const args = answered ? [payload, answered] : [payload];
    // As it goes over the wire: what is changed later at one end is not changed at the other.
    args[0] = payload === undefined ? undefined : (JSON.parse(JSON.stringify(payload)) as unknown);
    this.#receive?.(socket as never, connection.number, event, args);
  }
}
