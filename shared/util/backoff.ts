/**
 * Delay before retry number `attempt` (from 1): doubles from `fromMs` to at most `toMs`; the upper half is random, so that many
 * clients do not return at once. `random` returns 0 to 1.
 */
export function backoffMs(attempt: number, fromMs: number, toMs: number, random: () => number): number {
  const full = Math.min(toMs, fromMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(full / 2 + (full / 2) * random());
}
