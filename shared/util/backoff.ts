/**
 * How long to wait before try number `attempt` (1 for the first repetition): doubling from `fromMs` to at most
 * `toMs`, the upper half of it at random so that many do not come back at once. `random` gives 0 to 1.
 */
export function backoffMs(attempt: number, fromMs: number, toMs: number, random: () => number): number {
  const full = Math.min(toMs, fromMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(full / 2 + (full / 2) * random());
}
