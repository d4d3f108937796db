/** Connects what notices a change to what acts on it, so that neither needs the other when it is created. */
export interface Changes {
  /** Calls every listener, in the order in which they were added. */
  notify(): void;
  listen(listener: () => void): void;
}

export function createChanges(): Changes {
  const listeners: (() => void)[] = [];
  return {
    notify() {
      for (const listener of listeners) listener();
    },
    listen: (listener) => void listeners.push(listener),
  };
}
