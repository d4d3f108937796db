/** What is to happen, the earliest first; of those at the same time, the one that was put in first. */
export interface Timed {
  at: number;
  seq: number;
}

export class Heap<T extends Timed> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  push(item: T): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = items[above] as T;
      if (isBefore(parent, item)) break;
      items[at] = parent;
      at = above;
    }
    items[at] = item;
  }

  pop(): T | undefined {
    const items = this.#items;
    const [first] = items;
    const last = items.pop();
    if (last === undefined || items.length === 0) return first;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= items.length) break;
      const right = left + 1;
      const least = right < items.length && isBefore(items[right] as T, items[left] as T) ? right : left;
      if (isBefore(last, items[least] as T)) break;
      items[at] = items[least] as T;
      at = least;
    }
    items[at] = last;
    return first;
  }
}

const isBefore = (a: Timed, b: Timed): boolean => a.at < b.at || (a.at === b.at && a.seq < b.seq);
