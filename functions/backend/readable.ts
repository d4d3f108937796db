import type { MessageRecord, Outbox } from "../../shared/outbox/outbox.ts";
import { SealError } from "../../shared/sealing/seal.ts";

/** Reads a record for a list: undefined also for one that is not to be believed. */
export const readable =
  (read: Outbox["read"]) =>
  (id: string): Promise<MessageRecord | undefined> =>
    read(id).catch((error: unknown) => {
      if (error instanceof SealError) return undefined;
      throw error;
    });
