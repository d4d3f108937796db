/** A slot for one concurrent stream. */
export interface Slot {
  /** Reports that the stream is still alive. */
  renew(): void;
  release(): void;
}

/**
 * Limits the streams of a process. A slot that was not renewed for too long is free: at the edge, the runtime ends a request
 * whose client has left, without notice.
 * @param staleMs longer than a stream may take between two renewals
 */
export function createSlots(max: number, staleMs: number, now: () => number) {
  const renewed = new Map<symbol, number>();

  function sweep(): void {
    for (const [slot, at] of renewed) if (now() - at > staleMs) renewed.delete(slot);
  }

  return {
    /** undefined if all slots are taken. */
    take(): Slot | undefined {
      if (renewed.size >= max) sweep();
      if (renewed.size >= max) return undefined;
      const slot = Symbol("stream");
      const renew = () => void renewed.set(slot, now());
      renew();
      return { renew, release: () => void renewed.delete(slot) };
    },
    taken: () => renewed.size,
  };
}
