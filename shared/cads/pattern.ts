/**
 * Patterns of unit ids: `*` stands for any characters, none among them; everything else for itself. A pattern without `*` is one
 * unit. Of two patterns that share a unit, the narrower one decides: the one of which every unit is the other's, too.
 */

/** Longer than any unit's id need be; bounds the work of comparing two patterns. */
export const MAX_PATTERN = 100;

export const isExact = (pattern: string): boolean => !pattern.includes("*");

/** Whether a pattern is of this text. Linear but for the `*` that came last: no text makes it slow. */
export function matches(pattern: string, text: string): boolean {
  let [p, t, star, from] = [0, 0, -1, 0];
  while (t < text.length) {
    if (pattern[p] === "*") [star, from, p] = [p, t, p + 1];
    else if (pattern[p] === text[t]) [p, t] = [p + 1, t + 1];
    else if (star === -1) return false;
    else [from, p, t] = [from + 1, star + 1, from + 1];
  }
  while (pattern[p] === "*") p += 1;
  return p === pattern.length;
}

/**
 * Whether every unit of `inner` is one of `outer`, too. It is if `outer` matches what `inner` is with each `*` as a character that
 * nothing but a `*` matches: whatever stands in its place is matched by the same `*`.
 */
export const contains = (outer: string, inner: string): boolean => matches(outer, inner.replaceAll("*", "\0"));

/** Whether there is a unit that both patterns match. */
export function overlap(a: string, b: string): boolean {
  const seen = new Set<number>();
  const reach = (i: number, j: number): boolean => {
    const state = i * (b.length + 1) + j;
    if (seen.has(state)) return false;
    seen.add(state);
    if (i === a.length && j === b.length) return true;
    if (a[i] === "*") return reach(i + 1, j) || (j < b.length && reach(i, j + 1));
    if (b[j] === "*") return reach(i, j + 1) || (i < a.length && reach(i + 1, j));
    return i < a.length && a[i] === b[j] && reach(i + 1, j + 1);
  };
  return reach(0, 0);
}
