/**
 * How workers share CADs. Nobody assigns them: each worker looks at the same facts (which workers are there, who holds which
 * lease), and does its own part. The leases alone decide who owns a CAD; a wrong look costs a detour, never an owner too many.
 *
 * - A worker that has less than its share, ceil(CADs / workers), asks for the free CADs.
 * - A CAD that stays free is taken by any worker, whatever its share: a CAD without a leader is worse than an uneven share.
 * - A worker that has more than its share hands over what others lack; so does one of those with the most CADs, while another
 *   one has two less.
 */
export interface Look {
  cads: readonly string[];
  /** Live workers, this one among them. */
  workers: readonly string[];
  me: string;
  /** Who holds the lease of each CAD; without an entry, nobody. */
  owners: ReadonlyMap<string, string>;
  /** What this worker leads, or is asking for. */
  mine: ReadonlySet<string>;
  /** For how long each free CAD has been free, ms. */
  freeMs: ReadonlyMap<string, number>;
  /** CADs that are not to be handed over now: nobody took them when they last were. */
  keep: ReadonlySet<string>;
}

export interface Share {
  /** CADs to ask for, in this order. */
  take: string[];
  /** CADs to hand over. */
  give: string[];
}

/** A CAD that has been free for this time is taken by any worker, whatever its share, ms. */
export const FREE_TOO_LONG_MS = 1500;
/** A CAD that is still free after this time is refused by all workers, such as one whose store is another CAD's: none makes room for it, ms. */
const NOBODYS_MS = 15_000;

export function shareOf({ cads, workers, me, owners, mine, freeMs, keep }: Look): Share {
  const most = Math.ceil(cads.length / Math.max(1, workers.length));
  const free = cads.filter((cad) => !mine.has(cad) && (!owners.has(cad) || owners.get(cad) === me));
  const late = free.filter((cad) => (freeMs.get(cad) ?? 0) >= FREE_TOO_LONG_MS);
  // What an earlier process of this name held is its own again at once.
  const own = free.filter((cad) => owners.get(cad) === me);
  const room = Math.max(0, most - mine.size);
  const first = [...own, ...free.filter((cad) => !own.includes(cad))].slice(0, room);
  const take = [...first, ...late.filter((cad) => !first.includes(cad))];

  const count = (worker: string) => cads.filter((cad) => owners.get(cad) === worker && !mine.has(cad)).length;
  const others = workers.filter((worker) => worker !== me).map((worker) => ({ worker, has: count(worker) }));
  const soonTaken = free.filter((cad) => (freeMs.get(cad) ?? 0) < NOBODYS_MS).length;
  const lacking = others.reduce((sum, { has }) => sum + Math.max(0, most - has), 0) - soonTaken;
  const excess = Math.min(mine.size - most, lacking);
  const fewest = Math.min(...others.map(({ has }) => has));
  const isFirst = others.every(({ worker, has }) => has < mine.size || (has === mine.size && me < worker));
  const uneven = soonTaken === 0 && isFirst && mine.size - fewest >= 2 ? 1 : 0;
  const mayGive = [...mine].filter((cad) => owners.get(cad) === me && !keep.has(cad)).toSorted();
  return { take, give: mayGive.slice(0, Math.max(excess, uneven, 0)) };
}
