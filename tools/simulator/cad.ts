import { characters, type CharacterName } from "./characters.ts";
import { createControl } from "./control.ts";
import { Ledger } from "./ledger.ts";
import { type Life, startLife } from "./process-life.ts";
import { seededRandom } from "./random.ts";
import { createDatabase } from "./receive.ts";
import type { Store } from "./store.ts";
import { createSwitches, type Switches, type SwitchesPatch } from "./switches.ts";

export interface CadOptions {
  /** Must not be empty; equals the worker's CAD_BACKEND_AUTH_TOKEN. */
  token: string;
  character?: CharacterName;
  /** 0 (the default) picks a free port. */
  port?: number;
  host?: string;
  /** Seeds the random delays and fractions. */
  seed?: number;
  /** Milliseconds; the defaults are the real CAD's, 25 s and 20 s. */
  pingInterval?: number;
  pingTimeout?: number;
  /** Bytes; the default is the real CAD's, 1 MB. */
  maxPayload?: number;
  switches?: SwitchesPatch;
  /** Entries that the ledger keeps; by default 1,000,000. */
  ledgerSize?: number;
  /** Called when an emit has crashed the CAD's process, which is then down until `restart`. */
  onCrash?(reason: string): void;
  /** Receives the CAD's console output. */
  log?(message: string): void;
  now?(): number;
}

/** A simulated CAD on a real port, as faithful to the real one as its wire contract. */
export interface Cad {
  readonly url: string;
  readonly port: number;
  readonly character: CharacterName;
  readonly ledger: Ledger;
  /** The contents of its database. */
  readonly store: Store;
  /** Assign to change: `cad.switches.hang = true`. An invalid value throws. */
  readonly switches: Switches;
  readonly connections: number;
  readonly crashed: boolean;
  /** How often, since the start, it buffered missed packets for a client that vanished without closing. */
  readonly sessionsKept: number;
  /** Cuts every connection and frees the port. Idempotent; the ledger stays readable. */
  stop(): Promise<void>;
  /**
   * Simulates a process crash and a restart on the same port: connections, rooms and handlers in progress are lost.
   * The ledger, the switches and what a database would keep survive.
   */
  restart(): Promise<void>;
  /** Cuts every Socket.io connection, as a network fault does; returns how many there were. */
  dropConnections(): number;
  /** Makes this the accepted token. Existing connections stay, as with the real CAD. */
  setToken(token: string): void;
  /** Broadcasts to all clients or one room, as an MDT or a dashboard would; the payload may be malformed. */
  broadcast(event: string, payload: unknown, room?: string): void;
  /** Broadcasts and waits until every client has acked; rejects after 5 s. */
  ask(event: string, payload: unknown): Promise<unknown[]>;
}

/** Starts a CAD; rejects with a hint if its port is unavailable. */
export async function startCad(options: CadOptions): Promise<Cad> {
  const { character = "legacy", host = "127.0.0.1" } = options;
  let { token } = options;
  if (token === "") throw new Error("the CAD needs a token: give it the bridge's CAD_BACKEND_AUTH_TOKEN");
  let life: Life | undefined;
  let connectionCount = 0;
  let crashed = false;
  let stopped: Promise<void> | undefined;
  let restarting: Promise<void> | undefined;

  const ledger = new Ledger({
    ...(options.ledgerSize !== undefined && { max: options.ledgerSize }),
    ...(options.now && { now: options.now }),
  });
  const switches = createSwitches(options.switches ?? {}, () => life?.freezer.set(switches.hang));
  const connections = () => life?.connections() ?? 0;
  const dropConnections = () => {
    const count = connections();
    life?.freezer.cut();
    return count;
  };
  const log = options.log ?? (() => undefined);
  const database = createDatabase();
  const deps = {
    character: characters[character],
    token: () => token,
    switches,
    random: seededRandom(options.seed ?? 1),
    ledger,
    database,
    host,
    pingInterval: options.pingInterval ?? 25_000,
    pingTimeout: options.pingTimeout ?? 20_000,
    maxPayload: options.maxPayload ?? 1e6,
    control: createControl({ character, ledger, store: database.store, switches, connections, dropConnections }),
    nextConnection: () => ++connectionCount,
    log,
    crash(reason: string) {
      crashed = true;
      life?.end().catch((error: unknown) => log(`could not end: ${String(error)}`));
      options.onCrash?.(reason);
    },
  };
  life = await startLife({ ...deps, port: options.port ?? 0 });
  const { port } = life;

  const rebirth = async () => {
    await life?.end();
    life = await startLife({ ...deps, port });
    crashed = false;
  };
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`,
    port,
    character,
    ledger,
    store: database.store,
    switches,
    get connections() {
      return connections();
    },
    get sessionsKept() {
      return life?.sessionsKept() ?? 0;
    },
    get crashed() {
      return crashed;
    },
    async restart() {
      if (stopped) throw new Error("the CAD was stopped for good: start another");
      await (restarting ??= rebirth().finally(() => (restarting = undefined)));
    },
    stop: () =>
      (stopped ??= (async () => {
        await restarting?.catch(() => undefined); // its caller got the error
        await life?.end();
      })()),
    dropConnections,
    setToken(next) {
      token = next;
    },
    broadcast: (event, payload, room) => life?.broadcast(event, payload, room),
    ask: async (event, payload) => (await life?.ask(event, payload)) ?? [],
  };
}
