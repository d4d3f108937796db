import type { RedisFaultKind } from "../../../shared/redis/fault.ts";
import type { SealError } from "../../../shared/sealing/seal.ts";
import type { Backend } from "../../backend/backend.ts";

/** The calls to a Durable Object: all of Backend except its shutdown, which the runtime handles. */
export type Call = Exclude<keyof Backend, "endWaits" | "close">;
export type Arguments<C extends Call> = Parameters<Backend[C]>;
export type Reply<C extends Call> = Awaited<ReturnType<Backend[C]>>;

/** An answer in serializable form, since an error would lose its class between the two. */
export type CallResult<Value> =
  | { ok: true; value: Value }
  | { ok: false; fault: RedisFaultKind; reason: string }
  /** The stored record is forged or cannot be verified. */
  | { ok: false; fault: "sealed"; code: SealError["code"]; reason: string }
  | { ok: false; fault: "unforeseen" };

/**
 * Time limits of calls, ms, plus the time a call was asked to wait. The Durable Object's own deadlines are shorter (1 s per
 * Redis command): these are for one that is unreachable or hangs.
 */
export const CALL_MS = {
  accept: 4000,
  read: 3000,
  readSettled: 4000,
  backlog: 3000,
  queued: 3000,
  lastHeartbeat: 3000,
  askReconnect: 3000,
  // Many Redis commands, one after another.
  listDead: 10_000,
  redrive: 6000,
  discardDead: 3000,
  reveal: 3000,
  findCommands: 10_000,
  listQueues: 5000,
  readQueue: 3000,
  readHold: 3000,
  history: 3000,
  destinations: 5000,
  figures: 5000,
  isDestination: 3000,
  enableDestination: 3000,
  pauseDestination: 3000,
  destination: 3000,
  askReplay: 3000,
  sendTest: 3000,
  readTimeline: 15_000,
  note: 3000,
  takePoints: 3000,
  listAudit: 10_000,
  readEvents: 4000,
  listEvents: 10_000,
  readEvent: 3000,
  seenIn: 3000,
  rememberIncident: 3000,
  readState: 3000,
  listState: 10_000,
} as const satisfies Record<Call, number>;
