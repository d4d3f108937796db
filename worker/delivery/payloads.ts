import type { Log } from "../../shared/util/log.ts";
import { SealError, type SealedKind, type Sealer } from "../../shared/sealing/seal.ts";

/** `wait`: it can be opened once the configuration is mended. `spoilt`: never. */
export type Opened = { text: string } | { wait: string } | { spoilt: string };

/** Opens the payloads of an outbox, and knows which of them wait for a key. */
export interface Payloads {
  /** @param doubt why its record is not to be believed: so neither is its payload */
  open(id: string, stored: string, doubt?: SealError): Promise<Opened>;
  /** It does not wait for a key any more, whatever became of it. */
  forget(id: string): void;
  /** Why some wait for a key, for people; undefined if none does. */
  problem(): string | undefined;
}

/** Maximum number of reasons reported at once. */
const MOST_REASONS = 3;

/**
 * @param kind what they are sealed as
 * @param onForged called for each that was changed in Redis, or whose record was
 */
export function createPayloads(
  sealer: Sealer,
  log: Log,
  onForged: (id: string) => void = () => undefined,
  kind: SealedKind = "command",
): Payloads {
  /** The ids that wait, by reason. At most one for each queue: only its head is ever opened. */
  const waiting = new Map<string, Set<string>>();

  function forget(id: string): void {
    for (const [reason, ids] of waiting) if (ids.delete(id) && ids.size === 0) waiting.delete(reason);
  }

  function waitFor(id: string, reason: string): Opened {
    const others = waiting.get(reason);
    if (!others) log.error({ [`${kind}_id`]: id, reason }, `a ${kind} waits for the key of its payload`);
    waiting.set(reason, (others ?? new Set()).add(id));
    return { wait: reason };
  }

  return {
    async open(id, stored, doubt) {
      try {
        if (doubt) throw doubt;
        const text = await sealer.open(kind, id, stored);
        forget(id);
        return { text };
      } catch (error) {
        if (!(error instanceof SealError)) throw error;
        if (error.code !== "tampered") return waitFor(id, error.message);
        forget(id);
        onForged(id);
        return { spoilt: `forged: ${error.message}` };
      }
    },
    forget,
    problem() {
      if (waiting.size === 0) return undefined;
      const count = [...waiting.values()].reduce((sum, ids) => sum + ids.size, 0);
      return `${[...waiting.keys()].slice(0, MOST_REASONS).join("; ")} (${count} wait)`;
    },
  };
}
