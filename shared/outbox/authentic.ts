import { openClear, storeClear } from "../sealing/clear.ts";
import { SealError, type Sealer, tampered } from "../sealing/seal.ts";
import { toTraceparent } from "../tracing/traceparent.ts";
import type { Micros } from "../util/time.ts";

/**
 * What of a record never changes once it is accepted, as it is stored. The functions (of an event: the worker) authenticate it
 * before it leaves them, so that Redis can neither make a record nor change one.
 */
export interface Head {
  id: string;
  kind: string;
  /** JSON, as stored. */
  keys: string;
  user: string;
  role: string;
  fingerprint: string;
  /** `1` or empty. */
  latest: string;
  /** Microseconds, or empty. */
  ttl: string;
  redriveOf: string;
  /** When it was handed to Redis, by the sender's clock, us. */
  issuedAt: string;
}

/** The stored outcome of a message, which the leader authenticates. */
export interface Final {
  id: string;
  state: string;
  reason: string;
  by: string;
  acceptedAt: string;
  sentAt: string;
  sends: string;
  settledAt: string;
  /** Whether it held its place when it was settled. */
  held: boolean;
}

/**
 * How far Redis's time of acceptance may be from the sender's, us. A request to Redis takes 1 s at
 * most, and the doctor reports clocks that differ by more than 2 s.
 */
const CLOCKS_US = 10_000_000;
/** By how much an expiry may seem to come early, us: a difference of clocks, twice. */
export const EXPIRY_SLACK_US = 2 * CLOCKS_US;

/** What a record of the outbox is authenticated with. `base` is its outbox's: a record of another one does not fit. */
export interface Authenticator {
  /** Without keys nothing is authenticated. */
  readonly keyed: boolean;
  head(head: Head): string;
  /** Throws SealError. */
  checkHead(head: Head, mac: string | undefined): void;
  final(final: Final): string;
  checkFinal(final: Final, mac: string | undefined): void;
  /** That a dead letter was sent again as another message. */
  redriven(id: string, newId: string): string;
  checkRedriven(id: string, newId: string, mac: string | undefined): void;
  /** The `traceparent` of a message as it is stored. */
  trace(id: string, traceparent: string): string;
  /** The `traceparent` again; undefined if it is none. Throws SealError. */
  openTrace(id: string, stored: string): string | undefined;
}

export function createAuthenticator(sealer: Sealer, base: string): Authenticator {
  const headOf = ({ id, kind, keys, ...h }: Head) =>
    [
      ...(["record", base, id, kind, keys] as const),
      // As Redis stores it: of half a surrogate pair it keeps nothing.
      ...[h.user.toWellFormed(), h.role, h.fingerprint, h.latest, h.ttl, h.redriveOf, h.issuedAt],
    ] as const;
  const finalOf = ({ id, state, ...f }: Final) =>
    [
      ...(["outcome", base, id, state] as const),
      ...[f.reason.toWellFormed(), f.by, f.acceptedAt, f.sentAt, f.sends, f.settledAt, ...(f.held ? ["held"] : [])],
    ] as const;
  const traceOf = (id: string) => JSON.stringify([base, id]);
  const redrivenOf = (id: string, newId: string) => ["redrive", base, id, newId] as const;
  return {
    keyed: sealer.keyed,
    head: (head) => sealer.mac(headOf(head)),
    checkHead: (head, mac) => sealer.verify(headOf(head), mac),
    final: (final) => sealer.mac(finalOf(final)),
    checkFinal: (final, mac) => sealer.verify(finalOf(final), mac),
    redriven: (id, newId) => sealer.mac(redrivenOf(id, newId)),
    checkRedriven: (id, newId, mac) => sealer.verify(redrivenOf(id, newId), mac),
    trace: (id, traceparent) => storeClear(sealer, "trace", traceOf(id), traceparent),
    openTrace: (id, stored) => toTraceparent(openClear(sealer, "trace", traceOf(id), stored)),
  };
}

/** Redis's time of acceptance, limited to a range around the sender's time. */
export const believedTime = (acceptedAt: Micros, issuedAt: Micros | undefined): Micros =>
  issuedAt === undefined ? acceptedAt : Math.min(Math.max(acceptedAt, issuedAt - CLOCKS_US), issuedAt + CLOCKS_US);

/** An expiry is Redis's own word, which no key vouches for: it is believed if the time to live had passed by then. */
export function checkExpired(acceptedAt: Micros, ttl: Micros | undefined, at: Micros | undefined): void {
  if (ttl === undefined || at === undefined || at < acceptedAt + ttl - EXPIRY_SLACK_US) throw tampered("outcome");
}

/** A MAC that is not there, beside something that this version never stores without it, was taken away. */
export function unlessRemoved(check: () => void, beside: boolean): void {
  const doubt = doubtOf(check);
  if (doubt) throw beside && doubt.code === "unsealed" ? tampered("record") : doubt;
}

/** What speaks against believing something: what the check threw. */
export function doubtOf(check: () => void): SealError | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof SealError) return error;
    throw error;
  }
}
