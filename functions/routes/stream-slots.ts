/** A place of one stream among those that are served at once. */
export interface Slot {
  /** Says that the stream is still there. */
  renew(): void;
  release(): void;
}

/**
 * Bounds the streams of a process. One that was not renewed for long is not there any more: at the edge, the runtime ends a
 * request whose client has left, without notice.
 *
 * @param staleMs longer than a stream may take from one renewal to the next
 */
export function createSlots(max: number, staleMs: number, now: () => number) {
  const renewed = new Map<symbol, number>();

  function sweep(): void {
    for (const [slot, at] of renewed) if (now() - at > staleMs) renewed.delete(slot);
  }

  return {
    /** undefined if there is no place. */
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
