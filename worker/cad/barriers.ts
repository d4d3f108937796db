/** Proof that the CAD's process works through what it is sent. */
export interface Barriers {
  /**
   * Resolves once the CAD's process has surely received everything emitted so far: two barriers in a row were
   * answered (a process that crashes in a handler can still answer one). Never rejects: on a connection that ends
   * first it stays pending; callers learn of the end elsewhere.
   */
  proof(): Promise<void>;
  stop(): void;
}

export interface BarrierOptions {
  /** Sends one barrier; calls back when it was answered. */
  send(answered: () => void): void;
  /** A barrier without an answer for this time means that the CAD hangs, ms. */
  timeoutMs: number;
  /** A barrier goes out at least so often, so that a hanging CAD is noticed without traffic, ms. */
  idleMs: number;
  onHang(): void;
}

/** Keeps at most one barrier in flight; its answer serves every caller that waits. */
export function startBarriers(options: BarrierOptions): Barriers {
  let issued = 0;
  let onItsWay = false;
  let stopped = false;
  let hang: NodeJS.Timeout | undefined;
  let waiting: { barrier: number; resolve(): void }[] = [];

  function issue(): void {
    if (stopped || onItsWay) return;
    onItsWay = true;
    const mine = ++issued;
    hang = setTimeout(options.onHang, options.timeoutMs);
    options.send(() => {
      clearTimeout(hang);
      onItsWay = false;
      const proven = waiting.filter((w) => w.barrier <= mine);
      waiting = waiting.filter((w) => w.barrier > mine);
      for (const w of proven) w.resolve();
      if (waiting.length > 0) issue();
    });
  }
  const idle = setInterval(issue, options.idleMs);

  return {
    proof: () =>
      new Promise((resolve) => {
        // A barrier that is on its way already was sent before what is to be proven: it does not count.
        waiting.push({ barrier: issued + 2, resolve });
        issue();
      }),
    stop() {
      stopped = true;
      clearInterval(idle);
      clearTimeout(hang);
      waiting = [];
    },
  };
}
