const HOUR_MS = 3_600_000;
/** How much is kept: the longest window that is reported, h. */
export const KEPT_HOURS = 30 * 24;

/** For how long the CAD was ready in each hour, as Redis keeps it: `from` is when it was first measured, ms since 1970. */
export interface SavedUptime {
  from: number;
  /** Ready ms, by the hour since 1970. */
  hours: ReadonlyMap<number, number>;
}

export interface Uptime {
  /** Counts the time since the last call as ready if it was then. Returns what is to be saved of the current hour. */
  note(ready: boolean, now: number): { hour: number; ms: number; from: number };
  /** How much of the last `hours` the CAD was ready, in percent; of the time since it was first measured, if that is less. null before. */
  percent(hours: number, now: number): number | null;
}

const hourOf = (ms: number): number => Math.floor(ms / HOUR_MS);

/** The hours of a hash of Redis; undefined if nothing was saved. */
export function readUptime(hash: Readonly<Record<string, string>>): SavedUptime | undefined {
  const from = Number(hash["from"]);
  if (hash["from"] === undefined || !Number.isSafeInteger(from)) return undefined;
  const hours = Object.entries(hash).flatMap(([hour, ms]): [number, number][] =>
    /^\d{1,9}$/.test(hour) && /^\d{1,12}$/.test(ms) ? [[Number(hour), Number(ms)]] : [],
  );
  return { from, hours: new Map(hours) };
}

/** A time without a worker counts as not ready. At most 30 days and an hour are kept. */
export function createUptime(saved: SavedUptime | undefined): Uptime {
  const hours = new Map(saved?.hours);
  let from = saved?.from;
  let last: { at: number; ready: boolean } | undefined;

  return {
    note(ready, now) {
      from ??= now;
      const hour = hourOf(now);
      const ms = (hours.get(hour) ?? 0) + (last?.ready ? Math.max(0, now - last.at) : 0);
      last = { at: now, ready };
      hours.set(hour, ms);
      for (const old of hours.keys()) if (old < hour - KEPT_HOURS) hours.delete(old);
      return { hour, ms, from };
    },
    percent(window, now) {
      if (from === undefined || now <= from) return null;
      const start = Math.max(from, now - window * HOUR_MS);
      // Of the hour in which the window begins, as much counts as is in it.
      const part = (hour: number) => Math.min(1, ((hour + 1) * HOUR_MS - start) / HOUR_MS);
      const began = hourOf(start);
      let ready = 0;
      for (const [hour, ms] of hours) if (hour >= began) ready += began === hourOf(from) ? ms : ms * part(hour);
      return Math.min(100, Math.round((10_000 * ready) / (now - start)) / 100);
    },
  };
}
