import type { Redis } from "ioredis";
import type { AuditNote } from "../../shared/audit/entry.ts";
import { type Attempt, openMessageAttempts } from "../../shared/destinations/attempts.ts";
import type { DeadPage, DeadQuery } from "../../shared/outbox/dead-letters.ts";
import type { Appended } from "../../shared/outbox/outbox.ts";
import { destinationKeys } from "../../shared/redis/keys.ts";
import { SealError, type Sealer } from "../../shared/sealing/seal.ts";
import type { OutboxFor } from "./outboxes.ts";

/** The result of redriving a dead letter; `unreadable`: its payload cannot be opened, and why. */
export type Redriven = Appended | { outcome: "unreadable"; reason: string };

export type Revealed = { payload: string } | { unreadable: string };

/** What could not be delivered. @param destination whose outbox it is in; the commands' if undefined */
export interface DeadLetterCalls {
  listDead(query: DeadQuery, destination?: string): Promise<DeadPage & { attempts?: Attempt[][] }>;
  /** Accepts a dead letter again under a new id, once however often it is asked; undefined if it is no dead letter. */
  redrive(id: string, newId: string, note: AuditNote, destination?: string): Promise<Redriven | undefined>;
  discardDead(id: string, destination?: string): Promise<boolean>;
  /** A dead letter's payload as JSON; `unreadable`: it cannot be opened. undefined if it is none, or was discarded. */
  reveal(id: string, destination?: string): Promise<Revealed | undefined>;
}

export function createDeadLetterCalls(
  redis: Redis,
  prefix: string,
  sealer: Sealer,
  outboxFor: OutboxFor,
  wakeWorker: (id: string) => void,
): DeadLetterCalls {
  return {
    async listDead(query, destination) {
      const page = await outboxFor(destination).deadLetters.list(query);
      if (destination === undefined) return page;
      const messages = openMessageAttempts(redis, destinationKeys(prefix, destination), sealer);
      return { ...page, attempts: await Promise.all(page.letters.map(({ id }) => messages.read(id))) };
    },

    async redrive(id, newId, note, destination) {
      const from = outboxFor(destination);
      const message = await from.deadLetters.again(id, newId).catch((error: unknown) => {
        if (error instanceof SealError) return error;
        throw error;
      });
      if (message instanceof SealError) return { outcome: "unreadable", reason: message.message };
      const appended = message && (await from.accept({ ...message, note: { ...note, about: message.keys } }));
      if (appended && "id" in appended) await from.deadLetters.noteRedriven(id, appended.id);
      return appended;
    },

    async discardDead(id, destination) {
      const due = await outboxFor(destination).deadLetters.discard(id);
      due?.forEach(wakeWorker);
      return due !== undefined;
    },

    async reveal(id, destination) {
      try {
        const payload = await outboxFor(destination).deadLetters.reveal(id);
        return payload === undefined ? undefined : { payload };
      } catch (error) {
        if (error instanceof SealError) return { unreadable: error.message };
        throw error;
      }
    },
  };
}
