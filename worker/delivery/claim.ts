import type { Log } from "../../shared/util/log.ts";
import type { Begun, ToSend } from "../../shared/outbox/claim.ts";
import { NotOwner, type OwnedOutbox } from "../../shared/outbox/owned.ts";
import type { SealedKind } from "../../shared/sealing/seal.ts";
import type { Delivered } from "./dispatcher.ts";
import type { Payloads } from "./payloads.ts";

/** If more time than this passed between claim and send, this process was frozen and claims again, ms. */
const STALE_MS = 1000;
/** When a message whose payload cannot be opened yet is looked at again, ms. */
const KEY_REST_MS = 5000;

/** Whether a message may be sent now. */
export type MayBegin =
  | { may: "send"; message: ToSend; text: string }
  /** It never can be: it is to be settled as failed. */
  | { may: "never"; message: ToSend; reason: string }
  /** Not now: this follows, or it is to be asked again at once. */
  | { may: "not"; follows: Delivered | "again" };

export interface ClaimOptions {
  outbox: OwnedOutbox;
  payloads: Payloads;
  /** True as long as this worker surely owns the CAD. */
  mayEmit(): boolean;
  log: Log;
}

/** One that an exchange has begun already, and when that was asked for, by `performance.now()`. */
export interface Taken {
  begun: Begun;
  asked: number;
}

/** Asks, right before each send, whether a message may go (unless an exchange has), and opens its payload. Throws NotOwner. */
export async function claimDelivery(
  kind: SealedKind,
  id: string,
  options: ClaimOptions,
  taken?: Taken,
): Promise<MayBegin> {
  const { outbox, payloads } = options;
  const asked = taken?.asked ?? performance.now();
  const begun = taken?.begun ?? (await outbox.begin(id));
  if (begun.answer === "not-owner") throw new NotOwner();
  if (begun.answer !== "send") {
    payloads.forget(id);
    return { may: "not", follows: await instead(kind, id, begun, options) };
  }
  const opened = await payloads.open(id, begun.body, begun.doubt);
  if ("wait" in opened) {
    await outbox.putBack(id);
    return { may: "not", follows: { retryInMs: KEY_REST_MS } };
  }
  if (!options.mayEmit()) throw new NotOwner();
  if (performance.now() - asked > STALE_MS) return { may: "not", follows: "again" };
  if ("spoilt" in opened) return { may: "never", message: begun, reason: opened.spoilt };
  return { may: "send", message: begun, text: opened.text };
}

/** What follows now that this one is not to be sent. */
async function instead(
  kind: SealedKind,
  id: string,
  begun: Exclude<Begun, ToSend>,
  { outbox, log }: Pick<ClaimOptions, "outbox" | "log">,
): Promise<Delivered> {
  if (begun.answer === "settled") return { runnable: begun.runnable };
  if (begun.answer === "resting") return { retryInMs: begun.inMs };
  if (begun.answer !== "gone") return { runnable: [] };
  log.error(
    { [`${kind}_id`]: id },
    `a ${kind}'s record is gone from Redis: it cannot be sent and is removed from its queues`,
  );
  return { runnable: await outbox.dropOrphans(id) };
}
