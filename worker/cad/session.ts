import type { Log } from "../../shared/util/log.ts";
import type { Room } from "../../shared/vocabulary/ordering-key.ts";
import { oneLine } from "../../shared/util/one-line.ts";
import { sleep, withDeadline } from "../../shared/util/sleep.ts";
import { type AckHabits, type Confirmations, createConfirmations, type Delivery, type SendResult } from "./confirm.ts";
import { type Barriers, startBarriers } from "./barriers.ts";
import type { ConfirmModes } from "./confirm-modes.ts";
import type { OpenConnection } from "./open-connection.ts";
import { joinOf, type RoomStore, roomChange } from "./rooms.ts";
import type { Transport, TransportEvents } from "./transport.ts";

/** How long a connection may take until the CAD has answered it, ms. */
const CONNECT_MS = 6000;

/** Times of one connection, ms. With these a CAD that hangs is noticed within 8 s. */
export interface SessionTimes {
  confirmMs: number;
  /** A CAD that does not answer `fastapi:authenticate` within this time counts as ready, with a warning. */
  authWaitMs: number;
  /** How long a command that only a barrier proves holds back the next of its queues. */
  barrierHoldMs: number;
  barrierTimeoutMs: number;
  barrierIdleMs: number;
}

export interface SessionOptions {
  transport: Transport;
  /** Called once: it is the token of the whole connection. */
  token: () => string;
  rooms: RoomStore;
  modeOf: ConfirmModes;
  times: SessionTimes;
  /** An event of the CAD; `own`: the command that it is the echo of. Resolves to true once it is stored. See TransportEvents. */
  onEvent(event: string, payload: unknown, own: string | undefined, missed: boolean): Promise<boolean>;
  /** Events arrive from now on; what was missed before is not known yet. */
  onOpen(connection: OpenConnection): void;
  log: Log;
}

/** One connection to the CAD, from the handshake to its end. It ends once, and is not used again. */
export interface Session {
  readonly events: TransportEvents;
  /** Connects, authenticates, joins the rooms and checks that the CAD answers. Throws an Error that says what failed. */
  open(): Promise<void>;
  /** Resolves with the reason once it has ended. */
  readonly ended: Promise<string>;
  /** `leave`: for good, so that the CAD need not keep anything for the next connection. */
  end(reason: string, leave?: "leave"): void;
  state(): { ready: boolean; connected: boolean; authenticated: boolean; inFlight: number; rooms: number };
  send(delivery: Delivery, needsRoom: Room | undefined): Promise<SendResult>;
}

export function createSession(options: SessionOptions): Session {
  const { transport, rooms, times, log } = options;
  const token = options.token();
  const connected = Promise.withResolvers<void>();
  const authAnswer = Promise.withResolvers<unknown>();
  const ready = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<string>();
  const over = new AbortController();
  const joined = new Set<Room>();
  const habits: AckHabits = new Map();
  let isConnected = false;
  let isAuthenticated = false;
  let isReady = false;
  let barriers: Barriers | undefined;
  let confirmations: Confirmations | undefined;

  /** The CAD's own text: a refusal may quote the token, and the text goes into the log and into /health. */
  const withoutToken = (words: string) => words.replaceAll(token, "…");

  function end(reason: string, leave?: "leave"): void {
    if (over.signal.aborted) return;
    over.abort();
    isConnected = false;
    isReady = false;
    barriers?.stop();
    confirmations?.end();
    transport[leave ?? "close"]();
    ended.resolve(oneLine(reason));
  }
  /** Waits for one step of the opening. Throws if the session ended meanwhile, even at the very same moment. */
  async function unlessEnded<T>(step: Promise<T>): Promise<T> {
    const done = await Promise.race([step, ended.promise.then((reason) => Promise.reject(new Error(reason)))]);
    if (over.signal.aborted) throw new Error(await ended.promise);
    return done;
  }

  async function authenticate(): Promise<void> {
    transport.emit("fastapi:authenticate", { token });
    const silent = Symbol("silent");
    const waited = sleep(times.authWaitMs, over.signal).then(() => silent);
    const answer = await unlessEnded(Promise.race([authAnswer.promise, waited]));
    if (answer === silent) {
      log.warn({ waited_ms: times.authWaitMs }, "the CAD does not answer fastapi:authenticate: continuing without it");
      return;
    }
    const { success, error } = (answer ?? {}) as { success?: unknown; error?: unknown };
    if (success !== true)
      throw new Error(
        `the CAD refused the token: ${typeof error === "string" && error !== "" ? withoutToken(error) : "no reason given"}`,
      );
    isAuthenticated = true;
  }

  const proof = () => barriers?.proof() ?? new Promise<void>(() => undefined);
  const ask: OpenConnection["ask"] = (event, payload, ackMs) =>
    new Promise((resolve, reject) => {
      transport.emit(event, payload, {
        ackMs,
        answered: (error, answer) => (error ? reject(error) : resolve(answer)),
      });
    });

  function emitJoin(room: Room): void {
    const join = joinOf(room);
    transport.emit(join.event, join.payload);
    joined.add(room);
  }

  function startProving(): void {
    barriers = startBarriers({
      send: transport.barrier,
      timeoutMs: times.barrierTimeoutMs,
      idleMs: times.barrierIdleMs,
      onHang: () => end(`the CAD did not answer for ${times.barrierTimeoutMs} ms`),
    });
    confirmations = createConfirmations({
      modeOf: options.modeOf,
      timeoutMs: times.confirmMs,
      holdMs: times.barrierHoldMs,
      habits,
      barriers,
      transport,
    });
  }

  return {
    events: {
      connected: (recovered) => {
        if (over.signal.aborted) return;
        isConnected = true;
        options.onOpen({ recovered, ready: ready.promise, ended: over.signal, ask, proof });
        connected.resolve();
      },
      refused: (reason) => end(withoutToken(reason)),
      disconnected: (reason) => end(reason),
      async event(name, payload, missed) {
        const own = confirmations?.onBroadcast(name, payload);
        if (name !== "authenticated") return await options.onEvent(name, payload, own, missed);
        authAnswer.resolve(payload);
        return true;
      },
    },
    ended: ended.promise,
    end,

    async open() {
      transport.connect(token);
      await withDeadline(unlessEnded(connected.promise), CONNECT_MS, "the connection to the CAD");
      await authenticate();
      const wanted = await unlessEnded(rooms.all());
      startProving();
      for (const room of wanted) emitJoin(room);
      if (barriers) await unlessEnded(barriers.proof());
      isReady = true;
      ready.resolve();
    },

    state: () => ({
      ready: isReady,
      connected: isConnected,
      authenticated: isAuthenticated,
      inFlight: confirmations?.inFlight() ?? 0,
      rooms: joined.size,
    }),

    send(delivery, needsRoom) {
      if (!confirmations || !isReady) return Promise.resolve({ result: "disconnected" });
      if (needsRoom && !joined.has(needsRoom)) {
        emitJoin(needsRoom);
        rooms.note("join", needsRoom);
      }
      const change = roomChange(delivery.event, delivery.payload);
      if (change) {
        rooms.note(change.action, change.room);
        if (change.action === "join") joined.add(change.room);
        else joined.delete(change.room);
      }
      return confirmations.send(delivery);
    },
  };
}
