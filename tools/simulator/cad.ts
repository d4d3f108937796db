import { characters, type CharacterName } from "./characters.ts";
import { createControl } from "./control.ts";
import { Ledger } from "./ledger.ts";
import { type Life, startLife } from "./process-life.ts";
import { seededRandom } from "./random.ts";
import { createDatabase } from "./receive.ts";
import type { Store } from "./store.ts";
import { createSwitches, type Switches, type SwitchesPatch } from "./switches.ts";

export interface CadOptions {
  /** Must not be empty; the worker's CAD_BACKEND_AUTH_TOKEN. */
  token: string;
  character?: CharacterName;
  /** 0, the default, takes a free port. */
  port?: number;
  host?: string;
  /** For the random delays and fractions. */
  seed?: number;
  /** Milliseconds; the defaults are the real CAD's, 25 s and 20 s. */
  pingInterval?: number;
  pingTimeout?: number;
  /** Bytes; the default is the real CAD's, 1 MB. */
  maxPayload?: number;
  switches?: SwitchesPatch;
  /** Entries that the ledger keeps; by default 1,000,000. */
  ledgerSize?: number;
  /** Called when an emit has crashed the CAD's process; by then it is down, until `restart`. */
  onCrash?(reason: string): void;
  /** The CAD's console. */
  log?(message: string): void;
  now?(): number;
}

/** A CAD, as faithful to the real one as its wire contract, on a real port. */
export interface Cad {
  readonly url: string;
  readonly port: number;
  readonly character: CharacterName;
  readonly ledger: Ledger;
  /** What its database holds. */
  readonly store: Store;
  /** Assign to change: `cad.switches.hang = true`. A wrong value throws. */
  readonly switches: Switches;
  readonly connections: number;
  readonly crashed: boolean;
  /** How often, since it started, it kept what is missed for a client that went without a goodbye. */
  readonly sessionsKept: number;
  /** Cuts every connection and frees the port. Safe to repeat; the ledger stays readable. */
  stop(): Promise<void>;
  /**
   * As if the process had died and been started again on the same port: every connection, every room and whatever
   * was being handled is gone. The ledger and the switches stay; so does what a database would keep.
   */
  restart(): Promise<void>;
  /** Cuts every Socket.io connection, as a network does; returns how many there were. */
  dropConnections(): number;
  /** From now on this token is the good one. Who is connected stays so, as with the real CAD. */
  setToken(token: string): void;
  /** Pretends to be an MDT or a dashboard, or sends what is malformed. To everybody, or to one room. */
  broadcast(event: string, payload: unknown, room?: string): void;
  /** Broadcasts, and waits until everybody has acked it; rejects if somebody does not within 5 s. */
  ask(event: string, payload: unknown): Promise<unknown[]>;
}

/** Starts a CAD; rejects with what to do if it can't have its port. */
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
