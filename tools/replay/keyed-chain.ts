/**
 * Runs tasks at once, except that a task which shares a key with earlier ones waits until those have ended, whatever
 * their outcome. So the tasks of each key run one after another, in the order in which they were added.
 */
export class KeyedChain {
  readonly #last = new Map<string, Promise<void>>();

  /** Keys with unfinished tasks. */
  get size(): number {
    return this.#last.size;
  }

  run<T>(keys: readonly string[], task: () => Promise<T>): Promise<T> {
    const before = keys.flatMap((key) => this.#last.get(key) ?? []);
    const result = before.length === 0 ? Promise.resolve().then(task) : Promise.all(before).then(task);
    const ended: Promise<void> = result.then(
      () => this.#forget(keys, ended),
      () => this.#forget(keys, ended),
    );
    for (const key of keys) this.#last.set(key, ended);
    return result;
  }

  #forget(keys: readonly string[], ended: Promise<void>): void {
    for (const key of keys) if (this.#last.get(key) === ended) this.#last.delete(key);
  }
}

/** At most `most` tasks at a time; the others wait in a FIFO queue. */
export class Limit {
  readonly #most: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(most: number) {
    this.#most = most;
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    await this.enter();
    try {
      return await task();
    } finally {
      this.leave();
    }
  }

  async enter(): Promise<void> {
    if (this.#running >= this.#most) await new Promise<void>((go) => this.#waiting.push(go));
    else this.#running += 1;
  }

  /** Passes the slot to the next waiting task, if any. */
  leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#running -= 1;
  }
}
