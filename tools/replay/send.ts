import { setTimeout as sleep } from "node:timers/promises";
import { ask, causeOf, problemOf, text, type Answer } from "../support/api.ts";

/** A call that the bridge accepted (202), or refused because of its content (4xx). */
export type Sent = { id: string; ms: number; repeats: number } | { refused: string };

/** The bridge was unavailable for so long that replaying on makes no sense. */
export class BridgeUnavailable extends Error {
  override readonly name = "BridgeUnavailable";
}

export interface SendOptions {
  token: string;
  /** The same for every retry, so that retries are harmless. */
  idempotencyKey: string;
  headers?: Readonly<Record<string, string>>;
  /** How long to retry. */
  withinMs: number;
  signal: AbortSignal;
}

const LONGEST_PAUSE_MS = 2_000;
const REPEATED = new Set([408, 429]);

/**
 * Sends a call until the bridge accepts or refuses it: retries after 429, 5xx and network errors, with the delay from
 * Retry-After or exponential backoff with jitter. Throws BridgeUnavailable when the time is up or the token is rejected.
 */
export async function sendCommand(url: string, body: unknown, options: SendOptions): Promise<Sent> {
  const began = performance.now();
  for (let repeats = 0; ; repeats += 1) {
    const answer = await post(url, body, options);
    const id = answer instanceof Error ? undefined : text(answer.body["command_id"]);
    if (!(answer instanceof Error)) {
      if (id !== undefined && (answer.status === 202 || answer.status === 200))
        return { id, ms: performance.now() - began, repeats };
      if (answer.status === 401 || answer.status === 403)
        throw new BridgeUnavailable(`the token was rejected: ${problemOf(answer)}`);
      if (answer.status < 500 && !REPEATED.has(answer.status)) return { refused: problemOf(answer) };
    }
    const pause = pauseMs(answer, repeats);
    if (performance.now() - began + pause > options.withinMs) {
      const why = answer instanceof Error ? causeOf(answer) : problemOf(answer);
      throw new BridgeUnavailable(`not accepted within ${options.withinMs / 1000} s and ${repeats + 1} tries: ${why}`);
    }
    await sleep(pause, undefined, { signal: options.signal });
  }
}

async function post(
  url: string,
  body: unknown,
  { token, idempotencyKey, headers, signal }: SendOptions,
): Promise<Answer | Error> {
  try {
    return await ask("POST", url, { token, body, headers: { ...headers, "idempotency-key": idempotencyKey }, signal });
  } catch (error) {
    if (signal.aborted || !(error instanceof Error)) throw error;
    return error;
  }
}

/** RFC 9110: Retry-After is a number of seconds, or a date. */
export function pauseMs(answer: Answer | Error, repeats: number, random = Math.random, now = Date.now): number {
  const asked = answer instanceof Error ? undefined : answer.headers["retry-after"];
  if (asked !== undefined) {
    const ms = /^\d+$/.test(asked) ? Number(asked) * 1000 : Date.parse(asked) - now();
    if (Number.isFinite(ms)) return Math.max(0, ms);
  }
  const longest = Math.min(LONGEST_PAUSE_MS, 50 * 2 ** repeats);
  return longest * (0.5 + random() / 2);
}
