import type { Role } from "../vocabulary/roles.ts";

/** How much may wait in an outbox, unsettled; 0: any number. Bytes are those of payloads and ordering keys, as stored. */
export interface Bounds {
  /** Of all together. */
  backlog: number;
  bytes: number;
  /** Of one subject of a token. */
  subject: number;
  subjectBytes: number;
  /** Of one ordering key: what comes last in it waits for all before it. */
  key: number;
  /** Percentage of the total bounds and of those per key that is reserved for dispatchers and admins. */
  reservePercent: number;
}

/** Only the number of all messages is bounded. */
export const atMost = (backlog: number): Bounds => ({
  ...{ backlog, bytes: 0, subject: 0, subjectBytes: 0, key: 0, reservePercent: 0 },
});

/** What is left of a bound without the reserve. */
export const withoutReserve = (bound: number, percent: number): number => bound - Math.floor((bound * percent) / 100);

/**
 * What holds for a message. What is sent again was accepted before, and an admin asks for it: it is bounded by the whole alone.
 * @param role the sender's highest role
 */
export function boundsFor(bounds: Bounds, role: Role, redriven: boolean): Omit<Bounds, "reservePercent"> {
  const { reservePercent, ...all } = bounds;
  if (redriven) return { ...all, subject: 0, subjectBytes: 0, key: 0 };
  if (role !== "crew") return all;
  const shared = (bound: number) => withoutReserve(bound, reservePercent);
  return { ...all, backlog: shared(all.backlog), bytes: shared(all.bytes), key: shared(all.key) };
}
