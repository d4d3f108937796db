import { backoffMs } from "../../shared/util/backoff.ts";
import type { ToSend } from "../../shared/outbox/claim.ts";
import { NotOwner, type OwnedOutbox, type Settlement } from "../../shared/outbox/owned.ts";
import { sleep } from "../../shared/util/sleep.ts";

const FROM_MS = 100;
const TO_MS = 2000;

/**
 * Settles, and retries until Redis confirms it: the result of a delivery must not be lost in an outage. Returns those that have become
 * runnable. Throws NotOwner; when the signal aborts, what Redis said last.
 */
export async function settleSurely(
  outbox: OwnedOutbox,
  settlement: Settlement,
  begun: ToSend | undefined,
  { signal, random }: { signal: AbortSignal; random: () => number },
): Promise<string[]> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await outbox.settle(settlement, begun);
    } catch (error) {
      if (error instanceof NotOwner || signal.aborted) throw error;
      await sleep(backoffMs(attempt, FROM_MS, TO_MS, random), signal);
    }
  }
}
