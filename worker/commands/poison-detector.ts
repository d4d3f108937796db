/** After how many broken connections a command is given up as what breaks them, and how often alone among the suspects. */
const POISON_TRIES = 3;
const POISON_ALONE = 2;
/**
 * So many suspects are sent one at a time from the first break on. Many, as after a CAD was restarted under load, would
 * take too long: they only are if the connection breaks over them once more.
 */
const FEW = 32;

/** A command's place while it is sent. */
export interface Place {
  /** It is a suspect, and no other suspect is on its way. */
  readonly alone: boolean;
  /** The connection broke. Answers how often it did over this one, if that shows that this one is what breaks it. */
  broke(): number | undefined;
  /** It was answered, one way or another, or is over: nothing is held against it any more. */
  acquit(): void;
  /** Always called at the end, when its outcome is known; frees the place for the next suspect. */
  leave(): void;
}

/**
 * Finds the command that breaks the connection each time (one that the CAD cannot parse, one over its payload limit).
 * When a connection breaks, all that were in flight are suspects. Suspects are sent one at a time, each until its outcome
 * is known (a CAD may die of one some time after it received it), while all others go on as ever: so it holds up nothing
 * but its own unit and incident. One that broke goes to the end, so that a CAD that restarts again and again meets another.
 */
export interface PoisonDetector {
  /** Resolves at once for a command above suspicion; a suspect waits until no other suspect is on its way. */
  enter(id: string): Promise<Place>;
}

export function createPoisonDetector(): PoisonDetector {
  /** How often the connection broke with this one in flight. Holds no more than what was in flight together. */
  const suspects = new Map<string, { breaks: number; alone: number }>();
  let last: Promise<void> = Promise.resolve();

  return {
    async enter(id) {
      const place = Promise.withResolvers<void>();
      const { breaks, alone } = suspects.get(id) ?? { breaks: 0, alone: 0 };
      const isolated = breaks > (suspects.size > FEW ? 1 : 0);
      if (isolated) {
        const before = last;
        last = place.promise;
        await before;
      }
      return {
        alone: isolated,
        broke() {
          const now = { breaks: breaks + 1, alone: alone + (isolated ? 1 : 0) };
          suspects.set(id, now);
          return now.breaks >= POISON_TRIES && now.alone >= POISON_ALONE ? now.breaks : undefined;
        },
        acquit: () => void suspects.delete(id),
        leave: () => place.resolve(),
      };
    },
  };
}
