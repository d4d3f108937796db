import { randomUUID } from "node:crypto";
import { commandNamed } from "../../shared/commands/table.ts";
import { KeyedChain, Limit } from "./keyed-chain.ts";
import { startClock, type Speed } from "./pace.ts";
import type { Progress } from "../support/progress.ts";
import { ReceiptCollector, type Settled } from "./receipts.ts";
import { BridgeUnavailable, sendCommand } from "./send.ts";
import type { ApiCall } from "./sffd.ts";

export interface ReplayOptions {
  /** URL of the API, with its base path. */
  url: string;
  /** An admin's token, which permits every command. */
  token: string;
  speed: Speed;
  progress: Progress;
  signal: AbortSignal;
}

export interface Accepted {
  call: ApiCall;
  /** From the first attempt to the 202. */
  acceptedAfterMs: number;
  repeats: number;
  settled?: Settled;
}

export interface ReplayResult {
  /** By command id. */
  accepted: Map<string, Accepted>;
  /** The ids of each ordering key in the order of their 202s. */
  order: Map<string, string[]>;
  refused: { call: ApiCall; problem: string }[];
  /** Why the replay stopped early. */
  stopped?: string;
  sendingMs: number;
  totalMs: number;
}

const IN_FLIGHT = 64;
/** Calls waiting for their turn: enough to keep the others busy, few enough to hold in memory. */
const LOOK_AHEAD = 1_024;
const ACCEPT_WITHIN_MS = 60_000;
/** In real life a position is worthless after a minute; here every one must arrive. */
const TTL = { "units/location": { "command-ttl": "86400" } } as Readonly<
  Record<string, Readonly<Record<string, string>>>
>;

/**
 * Sends the calls in their order. Up to 64 requests are in flight; one that shares a unit or an incident with an
 * earlier one waits for the earlier one's 202, because the order of acceptance is the order of delivery.
 */
export async function replay(calls: readonly ApiCall[], options: ReplayOptions): Promise<ReplayResult> {
  const { url, token, progress } = options;
  const began = performance.now();
  const result: ReplayResult = { accepted: new Map(), order: new Map(), refused: [], sendingMs: 0, totalMs: 0 };
  const gaveUp = new AbortController();
  const signal = AbortSignal.any([options.signal, gaveUp.signal]);
  const run = randomUUID();
  const receipts = new ReceiptCollector({
    url,
    token,
    signal: options.signal,
    onFinal(id, settled) {
      const accepted = result.accepted.get(id);
      if (accepted) accepted.settled = settled;
      progress.settled();
    },
  });

  const send = async (call: ApiCall, index: number, keys: readonly string[]): Promise<void> => {
    if (signal.aborted) return;
    const sent = await sendCommand(`${url}/${call.command}`, call.body, {
      token,
      idempotencyKey: `replay-${run}-${index}`,
      headers: TTL[call.command] ?? {},
      withinMs: ACCEPT_WITHIN_MS,
      signal,
    });
    if ("refused" in sent) return void result.refused.push({ call, problem: sent.refused });
    result.accepted.set(sent.id, { call, acceptedAfterMs: sent.ms, repeats: sent.repeats });
    for (const key of keys) {
      const ids = result.order.get(key);
      if (ids) ids.push(sent.id);
      else result.order.set(key, [sent.id]);
    }
    receipts.add(sent.id);
    progress.accepted();
  };

  const giveUp = (call: ApiCall, error: unknown): void => {
    if (error instanceof BridgeUnavailable) result.stopped ??= `line ${call.line}, ${call.command}: ${error.message}`;
    else if (!signal.aborted) result.stopped ??= String(error);
    gaveUp.abort();
  };

  const chain = new KeyedChain();
  const inFlight = new Limit(IN_FLIGHT);
  const ahead = new Limit(LOOK_AHEAD);
  const clock = startClock(calls[0]?.at ?? 0, options.speed, signal);
  const all: Promise<void>[] = [];
  try {
    for (const [index, call] of calls.entries()) {
      await clock.until(call.at);
      const keys = keysOf(call);
      await ahead.enter();
      const sent = chain.run(keys, () => inFlight.run(() => send(call, index, keys)));
      all.push(sent.catch((error: unknown) => giveUp(call, error)).finally(() => ahead.leave()));
      if (signal.aborted) break;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  await Promise.all(all);
  if (options.signal.aborted) result.stopped = "stopped by Ctrl-C";
  result.sendingMs = performance.now() - began;
  await receipts.finish();
  result.totalMs = performance.now() - began;
  return result;
}

function keysOf({ command, body }: ApiCall): readonly string[] {
  const known = commandNamed(command);
  if (known === undefined) throw new TypeError(`unknown command ${command}`);
  return known.keys(body);
}
