import {
  type Attempt,
  type DestinationAttempt,
  type MessageAttempts,
  REASON_LENGTH,
  RECENT,
  RECENT_FAILED,
} from "../../shared/destinations/attempts.ts";
import type { DestinationStore } from "../../shared/destinations/store.ts";
import { sleep } from "../../shared/util/sleep.ts";
import type { DeliveryResult } from "./send.ts";

/** How often the list of a destination is stored, ms: after a crash, that much is missing from it. */
const SAVE_MS = 2000;
const LOAD_AGAIN_MS = 1000;

/** What one attempt was about. */
export interface Tried {
  id: string;
  event: string;
  /** The how manieth it is. */
  number: number;
}

/** Keeps what came of the attempts at a destination: the last of them, and those at each message that did not succeed at once. */
export interface AttemptsLog {
  note(tried: Tried, answer: DeliveryResult, at: Date, durationMs: number): void;
  /** Stores the list until the signal aborts, and once more then. Never rejects. */
  run(): Promise<void>;
}

const toAttempt = (answer: DeliveryResult, at: Date, durationMs: number): Attempt => ({
  at: at.toISOString(),
  response: answer.status,
  reason: answer.result === "ok" ? null : answer.reason.slice(0, REASON_LENGTH),
  duration_ms: Math.round(durationMs),
});

export function createAttemptsLog(
  destination: string,
  store: Pick<DestinationStore, "attempts" | "saveAttempts">,
  messages: Pick<MessageAttempts, "note">,
  signal: AbortSignal,
): AttemptsLog {
  let recent: DestinationAttempt[] = [];
  let failed: DestinationAttempt[] = [];
  let unsaved = false;

  function add(one: DestinationAttempt): void {
    recent = [...recent, one].slice(-RECENT);
    if (one.reason !== null) failed = [...failed, one].slice(-RECENT_FAILED);
  }
  const all = (): DestinationAttempt[] =>
    [...new Set([...failed, ...recent])].toSorted((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));

  /** What the worker before has kept comes before what this one has. False if it could not be read: then nothing is overwritten. */
  async function load(): Promise<boolean> {
    for (; !signal.aborted; await sleep(LOAD_AGAIN_MS, signal)) {
      const before = await store.attempts(destination).catch(() => undefined);
      if (!before) continue;
      const mine = all();
      [recent, failed] = [[], []];
      for (const one of [...before, ...mine]) add(one);
      return true;
    }
    return false;
  }
  async function save(): Promise<void> {
    if (!unsaved) return;
    unsaved = false;
    await store.saveAttempts(destination, all()).catch(() => void (unsaved = true));
  }

  return {
    note({ id, event, number }, answer, at, durationMs) {
      const done = toAttempt(answer, at, durationMs);
      add({ ...done, message_id: id, event, number });
      unsaved = true;
      // Of one that succeeds at once, the record says as much already.
      if (answer.result !== "ok" || number > 1) void messages.note(id, done).catch(() => undefined);
    },
    async run() {
      if (!(await load())) return;
      while (!signal.aborted) {
        await sleep(SAVE_MS, signal);
        await save();
      }
      await save();
    },
  };
}
