import { backoffMs } from "../../shared/util/backoff.ts";
import type { Room } from "../../shared/vocabulary/ordering-key.ts";
import { withoutCredentials } from "../../shared/health/worker-health.ts";
import { oneLine } from "../../shared/util/one-line.ts";
import { sleep } from "../../shared/util/sleep.ts";
import type { Delivery, SendResult } from "./confirm.ts";
import { createSession, type Session, type SessionOptions } from "./session.ts";
import type { CadEndpoint } from "./endpoint.ts";
import type { FaultCode } from "./connection-fault.ts";
import { createNodes, createProbe } from "./nodes.ts";
import { createTransport, type ConnectionInfo, type Transport } from "./transport.ts";

/** How soon it tries again after a connection failed or broke: from, to, ms. */
const RETRY_FROM_MS = 250;
const RETRY_TO_MS = 5000;
/** How long a requested reconnect lets what is in flight be confirmed first, ms. */
const DRAIN_MS = 2000;
const DRAIN_LOOK_MS = 25;
/** A connection that ended sooner than this after it became ready counts as failed: the next one waits longer, ms. */
const STABLE_MS = 10_000;
/** As how many failures in a row it counts at most: a command that ends each connection is to be found out soon. */
const SHORT_LIVED_FAILURES = 3;

const NO_SESSION = { ready: false, connected: false, authenticated: false, inFlight: 0, rooms: 0 };

export interface ConnectionStatus {
  ready: boolean;
  connected: boolean;
  authenticated: boolean;
  inFlight: number;
  rooms: number;
  /** How often it was tried to connect so far. */
  attempts: number;
  /** How many tries failed since it was last ready. */
  failures: number;
  /** Since when it is ready, or is not. */
  since: Date;
  /** How many connections became ready so far. */
  connections: number;
  lastConnection: Date | undefined;
  lastError: string | undefined;
  /** What kind of failure that was. */
  lastFault: FaultCode | undefined;
  /** The transport that carries the connection, such as `websocket`. */
  via: string | undefined;
  /** The node that is used. */
  url: string;
}

/** The bridge's connection to the CAD: reconnects for ever, until it is stopped. */
export interface CadConnection {
  status(): ConnectionStatus;
  /** Sends on the present connection. `disconnected` if there is none, or if it ends before an answer came. */
  send(delivery: Delivery, needsRoom: Room | undefined): Promise<SendResult>;
  /** Lets what is in flight be confirmed, then makes a new connection at once. */
  reconnect(): void;
  stop(): Promise<void>;
}

export interface ConnectionOptions extends Omit<SessionOptions, "transport"> {
  endpoint: CadEndpoint;
  /** Called whenever the status changed. */
  onChange(): void;
  random: () => number;
}

export function startCadConnection(options: ConnectionOptions): CadConnection {
  const { log } = options;
  const stopped = new AbortController();
  let session: Session | undefined;
  let wake = new AbortController();
  let draining = false;
  let attempts = 0;
  let failures = 0;
  let since = new Date();
  let connections = 0;
  let lastConnection: Date | undefined;
  let lastError: string | undefined;

  const { endpoint } = options;
  const nodes = createNodes([endpoint.url, ...(endpoint.more ?? [])], createProbe(endpoint));
  let node = endpoint.url;
  let transport = transportTo(node);

  /** What a node that is not used any more still says is nothing to the session of another one. */
  function transportTo(url: string): Transport & ConnectionInfo {
    const of = () => (own === transport ? session?.events : undefined);
    const own: Transport & ConnectionInfo = createTransport(
      { ...endpoint, url },
      {
        connected: (recovered) => of()?.connected(recovered),
        refused: (reason) => of()?.refused(reason),
        disconnected: (reason) => of()?.disconnected(reason),
        event: async (name, payload, missed) => (await of()?.event(name, payload, missed)) ?? false,
      },
    );
    return own;
  }
  /** A separate transport per node: a session cannot be recovered on another node. */
  function use(url: string): void {
    if (url === node) return;
    log.info({ node: withoutCredentials(url) }, "using another node of the CAD");
    transport.leave();
    node = url;
    transport = transportTo(url);
  }

  /** One connection, from the first try to its end; answers for how long it was ready, ms. */
  async function connectOnce(): Promise<number> {
    attempts += 1;
    draining = false;
    use(await nodes.pick(stopped.signal));
    if (stopped.signal.aborted) return 0;
    session = createSession({ ...options, transport });
    try {
      await session.open();
    } catch (error) {
      failures += 1;
      nodes.failed();
      lastError = oneLine(error instanceof Error ? error.message : String(error));
      session.end(lastError);
      log.warn({ attempt: attempts, reason: lastError }, "no connection to the CAD");
      options.onChange();
      return 0;
    }
    const readyAt = performance.now();
    connections += 1;
    failures = 0;
    lastConnection = since = new Date();
    lastError = undefined;
    log.info({ attempt: attempts, connection: connections, rooms: session.state().rooms }, "the CAD is ready");
    options.onChange();
    const reason = await session.ended;
    since = new Date();
    lastError = reason;
    log.warn({ connection: connections, reason }, "the connection to the CAD ended");
    options.onChange();
    return performance.now() - readyAt;
  }

  async function run(): Promise<void> {
    for (let tries = 0; !stopped.signal.aborted;) {
      tries = failuresAfter(tries, await connectOnce());
      await sleep(
        backoffMs(tries, RETRY_FROM_MS, RETRY_TO_MS, options.random),
        AbortSignal.any([stopped.signal, wake.signal]),
      );
      wake = new AbortController();
    }
  }
  const running = run();

  async function drain(old: Session): Promise<void> {
    draining = true;
    options.onChange();
    const until = Date.now() + DRAIN_MS;
    // At least once: what was begun a moment ago is about to be in flight.
    do await sleep(DRAIN_LOOK_MS, stopped.signal);
    while (old.state().inFlight > 0 && Date.now() < until && !stopped.signal.aborted);
    old.end("a reconnect was requested");
    wake.abort();
  }

  return {
    status() {
      const now = session?.state() ?? NO_SESSION;
      return {
        ...now,
        ready: now.ready && !draining,
        attempts,
        failures,
        since,
        connections,
        lastConnection,
        lastError,
        lastFault: lastError === undefined ? undefined : transport.fault()?.code,
        via: transport.via(),
        url: node,
      };
    },
    send(delivery, needsRoom) {
      return session?.send(delivery, needsRoom) ?? Promise.resolve({ result: "disconnected" });
    },
    reconnect() {
      log.info({}, "a reconnect was requested");
      if (!session) return wake.abort();
      if (!draining) void drain(session);
    },
    async stop() {
      stopped.abort();
      session?.end("the bridge stops", "leave");
      await running;
    },
  };
}

/** How many failures in a row the next wait is for, after a connection that was ready for so long, ms; 0: it never was. */
export function failuresAfter(failures: number, readyMs: number): number {
  if (readyMs === 0) return failures + 1;
  return readyMs > STABLE_MS ? 1 : Math.min(failures + 1, SHORT_LIVED_FAILURES);
}
