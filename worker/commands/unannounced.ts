import { eventNamed } from "../../shared/events/table.ts";
import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import { NotOwner } from "../../shared/outbox/owned.ts";
import { sleep } from "../../shared/util/sleep.ts";
import type { Delivery } from "../cad/confirm.ts";
import type { Inbound } from "../events/inbound.ts";

const AGAIN_MS = 500;

/**
 * Of a CAD that has no handler for `transport:completed` no event would ever come back, and billing would never hear of a
 * transport that the crew reported through the bridge. So what it received without a word the bridge tells of itself: in the
 * journal, as of kind `bridge`, under the event's name and with the command's id, once however often it is sent.
 */
export const createUnannounced =
  (inbound: Pick<Inbound, "say">, signal: AbortSignal) =>
  async ({ commandId, event, payload }: Delivery, keys: readonly OrderingKey[]): Promise<void> => {
    if (!eventNamed(event)) return;
    while (!(await inbound.say(event, keys, payload, { own: commandId }))) {
      if (signal.aborted) throw new NotOwner();
      await sleep(AGAIN_MS, signal);
    }
  };
