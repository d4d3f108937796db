import type { Checkpoints } from "../../shared/journal/checkpoints.ts";
import type { JournalReader } from "../../shared/journal/read.ts";
import { idBefore } from "../../shared/redis/stream-id.ts";
import { SealError } from "../../shared/sealing/seal.ts";
import type { Handler } from "./handlers/handler.ts";

export interface PlacementOptions {
  handler: Handler;
  journal: JournalReader;
  checkpoints: Checkpoints;
  /** Something of the journal was changed in Redis. */
  onForged(what: string): void;
  /** Called once, with the entry up to which there is nothing left to do. */
  onPlaced(at: string): void;
}

/**
 * Finds where a handler begins: at its checkpoint; a new handler with the next entry. The returned function may be called again,
 * also while it runs, and places the handler once. Rejects if Redis does not answer.
 */
export function createPlacement(options: PlacementOptions): () => Promise<void> {
  const { handler, journal, checkpoints } = options;
  let isPlaced = false;

  /** A checkpoint that was changed in Redis is replaced by the oldest entry: repeating work does no harm, skipping it does. */
  async function checkpoint(): Promise<string | undefined> {
    try {
      return await checkpoints.cursor(handler.name);
    } catch (error) {
      if (!(error instanceof SealError) || error.code !== "tampered") throw error;
      options.onForged(`cursor of ${handler.name}`);
      const { oldest, newest } = await journal.bounds();
      return oldest === undefined ? newest : idBefore(oldest);
    }
  }

  return async () => {
    if (isPlaced) return;
    const known = await checkpoint();
    const newest = known ?? (await journal.bounds()).newest;
    const from = (await handler.rewind?.resume(newest)) ?? newest;
    if (from !== known) await checkpoints.note(handler.name, [], from);
    if (isPlaced) return;
    isPlaced = true;
    options.onPlaced(from);
  };
}
