import { DEAD_STATES, FINAL_STATES } from "../../../shared/outbox/states.ts";

/** Checks a run by what was observed from outside: a pure function of the ledgers. All times in ms since 1970. */

/** A command that was answered with 202. */
export interface Accepted {
  id: string;
  /** Its unit and incident. */
  keys: readonly string[];
}

/** An emit as the CAD received it. */
export interface Arrival {
  id: string;
  time: number;
  /** Numbered in the order in which the CAD accepted the connections. */
  connection: number;
  /** When the connection was opened. */
  opened: number;
  /** The worker at the other end; undefined if unknown: such emits prove nothing. */
  worker: string | undefined;
  /** The CAD nacked it as retryable, so sending it again is correct. */
  refused: boolean;
}

export interface SeenReceipt {
  status: string;
  reason: string | null;
}

/** A change of leader: the lease was taken after `after` and observed at `seen`. */
export interface OwnerChange {
  worker: string;
  after: number;
  seen: number;
}

/**
 * A period in which a process or a path stood still with emits in it: what arrives at its end was sent before. Such an
 * emit can only be of a command accepted before `acceptedBefore`.
 */
export interface Stall {
  from: number;
  to: number;
  acceptedBefore: number;
}

/** What Redis still holds at the end of a run: names of keys, or non-zero counts of jobs. */
export interface Left {
  outbox: readonly string[];
  jobs: Readonly<Record<string, number>>;
}

export interface Evidence {
  /** In the order of their 202s: of two with a common key, the second was posted after the first's 202. */
  accepted: readonly (Accepted & { at: number })[];
  /** In the order in which the CAD received them. */
  arrivals: readonly Arrival[];
  receipts: ReadonlyMap<string, SeenReceipt>;
  left: Left;
  owners: readonly OwnerChange[];
  stalls: readonly Stall[];
}

export const VIOLATIONS = [
  "lost",
  "first delivery out of order",
  "late repeat",
  "no final state",
  "left in the outbox",
  "stuck job",
  "emit by another than the owner",
] as const;
export type ViolationKind = (typeof VIOLATIONS)[number];

export interface Violation {
  kind: ViolationKind;
  /** The command, key or job, and where to look. */
  what: string;
}

export interface Verdict {
  violations: Violation[];
  accepted: number;
  delivered: number;
  superseded: number;
  /** Dead letters by state and reason. */
  dead: Record<string, number>;
  duplicates: number;
  /** Older commands that arrived again after a newer one, on a connection older than the newer one's: not a failure. */
  excusedRepeats: number;
  /** Emits released from a stall while another worker was the leader: not a failure. */
  excusedEmits: number;
}

/** Largest difference between the clocks of the lease watch and the CAD's ledger, including the latency between them, ms. */
const SLACK_MS = 100;
/** How long after the end of a stall its held emits may still arrive, ms. */
const STALL_TAIL_MS = 2000;

export function check(evidence: Evidence): Verdict {
  const { accepted, arrivals, receipts } = evidence;
  const arrived = new Set(arrivals.map((a) => a.id));
  const dead: Record<string, number> = {};
  let superseded = 0;
  for (const { id } of accepted) {
    const receipt = receipts.get(id);
    if (receipt?.status === "superseded") superseded += 1;
    if (receipt && isDead(receipt))
      dead[`${receipt.status}: ${receipt.reason}`] = (dead[`${receipt.status}: ${receipt.reason}`] ?? 0) + 1;
  }
  const order = checkOrder(accepted, arrivals);
  const owner = checkOwner(evidence);
  return {
    violations: [
      ...checkFate(accepted, arrived, receipts),
      ...order.violations,
      ...checkLeft(evidence.left),
      ...owner.violations,
    ],
    accepted: accepted.length,
    delivered: accepted.filter(({ id }) => arrived.has(id)).length,
    superseded,
    dead,
    duplicates: countDuplicates(arrivals),
    excusedRepeats: order.excused,
    excusedEmits: owner.excused,
  };
}

const isDead = ({ status }: SeenReceipt) => (DEAD_STATES as readonly string[]).includes(status);
const isFinal = ({ status }: SeenReceipt) => (FINAL_STATES as readonly string[]).includes(status);

function* checkFate(
  accepted: readonly Accepted[],
  arrived: ReadonlySet<string>,
  receipts: ReadonlyMap<string, SeenReceipt>,
): Generator<Violation> {
  for (const { id, keys } of accepted) {
    const receipt = receipts.get(id);
    const of = `${id} of ${keys.join(" and ")}`;
    if (!receipt) yield { kind: "no final state", what: `${of} has no receipt` };
    else if (!isFinal(receipt)) yield { kind: "no final state", what: `${of} is ${receipt.status}` };
    if (arrived.has(id)) continue;
    const explained = receipt && (receipt.status === "superseded" || (isDead(receipt) && Boolean(receipt.reason)));
    if (!explained)
      yield { kind: "lost", what: `${of} never reached the CAD; its receipt: ${receipt?.status ?? "none"}` };
  }
}

/** Counts emits of a command that the CAD had received and not refused. */
function countDuplicates(arrivals: readonly Arrival[]): number {
  const taken = new Set<string>();
  let duplicates = 0;
  for (const { id, refused } of arrivals) {
    if (taken.has(id)) duplicates += 1;
    else if (!refused) taken.add(id);
  }
  return duplicates;
}

/** Within a key: first deliveries in order of acceptance, and no older command again after a newer one. */
function checkOrder(accepted: readonly Accepted[], arrivals: readonly Arrival[]) {
  const places = new Map(accepted.map(({ id, keys }, place) => [id, { place, keys }]));
  const newest = new Map<string, { place: number; arrival: Arrival }>();
  const seen = new Set<string>();
  const violations: Violation[] = [];
  let excused = 0;

  for (const arrival of arrivals) {
    const command = places.get(arrival.id);
    if (!command) continue; // its 202 got lost: its place in the order is unknown
    const first = !seen.has(arrival.id);
    seen.add(arrival.id);
    const overtaken = command.keys.flatMap((key) => {
      const before = newest.get(key);
      return before && before.place > command.place ? [{ key, newer: before.arrival }] : [];
    });
    const [one] = overtaken;
    if (!one) {
      for (const key of command.keys)
        newest.set(key, { place: command.place, arrival: newestOf(arrival, newest.get(key)) });
      continue;
    }
    const what = `${arrival.id} came after ${one.newer.id}, which is newer (${one.key}), at ${iso(arrival.time)}`;
    if (first) violations.push({ kind: "first delivery out of order", what });
    else if (overtaken.every(({ newer }) => arrival.connection < newer.connection)) excused += 1;
    else violations.push({ kind: "late repeat", what: `${what}, on connection ${arrival.connection}` });
  }
  return { violations, excused };
}

/** The first delivery of the newest command counts, not its repeats. */
const newestOf = (arrival: Arrival, before: { arrival: Arrival } | undefined): Arrival =>
  before?.arrival.id === arrival.id ? before.arrival : arrival;

function* checkLeft({ outbox, jobs }: Left): Generator<Violation> {
  for (const what of outbox) yield { kind: "left in the outbox", what };
  for (const [state, count] of Object.entries(jobs)) {
    if (count > 0) yield { kind: "stuck job", what: `${count} in BullMQ's ${state}` };
  }
}

/** No worker emits while another one is the leader. */
function checkOwner({ arrivals, owners, stalls, accepted }: Evidence) {
  const acceptedAt = new Map(accepted.map(({ id, at }) => [id, at]));
  const violations: Violation[] = [];
  let excused = 0;
  for (const { id, worker, time } of arrivals) {
    if (worker === undefined || mayOwn(worker, time, owners)) continue;
    const at = acceptedAt.get(id) ?? 0;
    const late = stalls.some((s) => time >= s.from && time <= s.to + STALL_TAIL_MS && at <= s.acceptedBefore);
    if (late) excused += 1;
    else violations.push({ kind: "emit by another than the owner", what: `${id} by ${worker} at ${iso(time)}` });
  }
  return { violations, excused };
}

/** Whether the worker may have been the leader at a time: the last known one, or one that may have taken over since. */
function mayOwn(worker: string, time: number, owners: readonly OwnerChange[]): boolean {
  const sure = owners.findLastIndex((o) => o.seen <= time - SLACK_MS);
  if (sure === -1) return true;
  return owners.slice(sure).some((o) => o.worker === worker && o.after <= time);
}

const iso = (time: number) => new Date(time).toISOString();
