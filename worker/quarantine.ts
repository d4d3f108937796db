/** After how many broken connections a command counts as what breaks them. */
export const POISON_TRIES = 3;

/** A command's place while it is sent. */
export interface Place {
  /** True if the connection broke before while it was on its way: then it is the only suspect that is. */
  readonly suspect: boolean;
  /** The CAD's process surely received it and lives: whatever breaks the connection from here on, it is not this one. */
  clear(): void;
  /** The connection broke. Answers how often that happened while it was in flight, alone among the suspects. */
  broke(): number;
  /** It was answered, one way or another: it is above suspicion. */
  answered(): void;
  /** Always called at the end; frees the place for the next suspect. */
  leave(): void;
}

/**
 * Finds the command that breaks the connection each time (one that the CAD cannot parse, one over its payload limit).
 * When a connection breaks, all that were in flight are suspects. Suspects are sent one at a time, while all others go
 * on as ever: so it soon shows which of them it is, and it holds up nothing but its own unit and incident.
 */
export interface Quarantine {
  /** Resolves at once for a command above suspicion; a suspect waits until no other suspect is on its way. */
  enter(id: string): Promise<Place>;
}

export function createQuarantine(): Quarantine {
  /** How often the connection broke with this one in flight. Holds no more than what was in flight together. */
  const tries = new Map<string, number>();
  let last: Promise<void> = Promise.resolve();

  return {
    async enter(id) {
      const suspect = tries.has(id);
      const place = Promise.withResolvers<void>();
      if (suspect) {
        const before = last;
        last = place.promise;
        await before;
      }
      let cleared = false;
      return {
        suspect,
        clear() {
          cleared = true;
          place.resolve();
        },
        broke() {
          const count = (tries.get(id) ?? 0) + (cleared ? 0 : 1);
          tries.set(id, count);
          return count;
        },
        answered: () => void tries.delete(id),
        leave: () => place.resolve(),
      };
    },
  };
}
