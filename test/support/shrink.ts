/**
 * A part of a list that still fails, from which nothing single can be left out: by halves first, then one by one.
 * @param fails whether such a list fails; asked at most some `n log n` times
 */
export async function shrink<T>(list: readonly T[], fails: (part: readonly T[]) => Promise<boolean>): Promise<T[]> {
  let smallest = [...list];
  for (let size = Math.ceil(smallest.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < smallest.length;) {
      const without = smallest.toSpliced(at, size);
      if (without.length > 0 && (await fails(without))) smallest = without;
      else at += size;
    }
  }
  return smallest;
}
