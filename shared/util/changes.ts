/** Connects the source of a change to its listeners, so that neither needs the other when it is created. */
export interface Changes<Value = void> {
  /** Calls every listener, in the order in which they were added. */
  notify(value: Value): void;
  listen(listener: (value: Value) => void): void;
}

export function createChanges<Value = void>(): Changes<Value> {
  const listeners: ((value: Value) => void)[] = [];
  return {
    notify(value) {
      for (const listener of listeners) listener(value);
    },
    listen: (listener) => void listeners.push(listener),
  };
}
