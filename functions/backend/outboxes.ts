import type { Redis } from "ioredis";
import { atMost, type Bounds } from "../../shared/outbox/bounds.ts";
import { type DeadLetters, openDeadLetters } from "../../shared/outbox/dead-letters.ts";
import { type Appended, type NewMessage, openOutbox, type Outbox } from "../../shared/outbox/outbox.ts";
import { destinationKeys, outboxKeys } from "../../shared/redis/keys.ts";
import { type Sealer, sealerFor, tampered } from "../../shared/sealing/seal.ts";

/** An outbox as the functions use it. */
export interface OutboxAccess extends Pick<Outbox, "read" | "backlog"> {
  /** Stores a message, and wakes the worker if it sleeps. A repeat is accepted only if the stored record is authentic: SealError. */
  accept(message: NewMessage): Promise<Appended>;
  deadLetters: DeadLetters;
}

/** The outbox of a destination; the commands' if undefined. */
export type OutboxFor = (destination: string | undefined) => OutboxAccess;

export function createOutboxes(
  redis: Redis,
  prefix: string,
  bounds: Bounds,
  sealer: Sealer,
  wakeWorker: (id: string) => void,
): OutboxFor {
  const keys = outboxKeys(prefix);
  const theirBounds = atMost(bounds.backlog);
  const outbox = openOutbox(redis, keys, sealer, bounds);

  /** A repeat is accepted only if the stored record is what the functions wrote. Throws SealError. */
  async function believed(replayed: Appended & { outcome: "replayed" }, message: NewMessage): Promise<Appended> {
    const record = await outbox.read(replayed.id);
    if (!record) return replayed;
    if (sealer.keyed && !message.fingerprints.includes(record.fingerprint)) throw tampered("record");
    return { ...replayed, state: record.state, acceptedAt: record.acceptedAt };
  }

  async function accept(message: NewMessage): Promise<Appended> {
    const appended = await outbox.append(message);
    if (appended.outcome === "replayed") return await believed(appended, message);
    // Not waited for: it is accepted, and a broken queue delays no answer.
    if (appended.outcome === "accepted" && appended.due) wakeWorker(appended.id);
    return appended;
  }

  const commands = {
    ...{ read: outbox.read, backlog: outbox.backlog, accept },
    deadLetters: openDeadLetters(redis, keys, sealer, "command"),
  };
  return (destination) => {
    if (destination === undefined) return commands;
    const theirs = destinationKeys(prefix, destination);
    const { read, append, backlog } = openOutbox(redis, theirs, sealer, theirBounds);
    // The worker's own sweep finds what is in it: it needs no job.
    return {
      ...{ read, backlog, accept: append },
      deadLetters: openDeadLetters(redis, theirs, sealerFor(sealer, destination), "webhook"),
    };
  };
}
