import { eventNamed } from "../../shared/events/table.ts";
import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import { NotOwner } from "../../shared/outbox/owned.ts";
import { sleep } from "../../shared/util/sleep.ts";
import type { Delivery } from "../cad/confirm.ts";
import type { Inbound } from "../events/inbound.ts";

const AGAIN_MS = 500;

/**
 * A CAD without a handler for `transport:completed` broadcasts nothing for it, and billing would never learn of a transport that
 * the crew reported through the bridge. So the bridge writes what such a CAD received to the journal itself: of kind `bridge`, under
 * the event's name and with the command's id, once however often it is sent.
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
