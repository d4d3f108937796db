/** The value below which the fraction `p` of the values lies (nearest rank); NaN for none. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN;
}

/** Wall-clock rates vary by 2x on a shared machine: rounds are interleaved, and their median is reported. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const [low, high] = [sorted[Math.floor(middle)], sorted[Math.ceil(middle)]];
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2;
}

/** The median, or undefined if any value is missing. */
export const medianOf = (values: readonly (number | undefined)[]): number | undefined =>
  values.every((value) => value !== undefined) && values.length > 0 ? median(values) : undefined;
