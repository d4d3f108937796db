import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { toMessage } from "../../shared/commands/message.ts";
import { unitsStatus } from "../../shared/commands/units-status.ts";
import { type Found, found } from "../../shared/health/problems.ts";
import type { Measure } from "../../shared/metrics/measure.ts";
import { atMost } from "../../shared/outbox/bounds.ts";
import { openDeadLetters } from "../../shared/outbox/dead-letters.ts";
import { type MessageRecord, openOutbox } from "../../shared/outbox/outbox.ts";
import { isDead, isFinal } from "../../shared/outbox/states.ts";
import { whyFailed } from "../../shared/redis/fault.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import type { Log } from "../../shared/util/log.ts";
import { sleep, withDeadline } from "../../shared/util/sleep.ts";
import { NotAccepted, postCanary } from "./canary-http.ts";
import type { WorkerConfig } from "../config/worker-env.ts";

/** How long a canary may take, s: it expires then. */
const TTL_S = 30;
/** Further time limit for its settlement, ms. */
const SLACK_MS = 15_000;
const LOOK_MS = 250;
const STEP_MS = 5000;
/** For the functions' own deadline, and some more, ms. */
const SEND_MS = 6000;
/** Consecutive misses that are reported as a problem. */
const MISSES = 3;
const BACKLOG = 1_000_000;

export interface CanaryOptions {
  config: Pick<WorkerConfig, "CANARY_UNIT" | "CANARY_EVERY_S" | "CANARY_URL">;
  /** CANARY_TOKEN as it is now; undefined without one. */
  token(): string | undefined;
  redis: Redis;
  keys: OutboxKeys;
  sealer: Sealer;
  /** Whether the CAD is connected: while it is not, none is sent, and each counts as missed. */
  ready(): boolean;
  /** Has the worker look for what is ready. */
  wake(): Promise<void>;
  measure: Measure;
  signal: AbortSignal;
  log: Log;
}

/**
 * Sends a harmless command of a test unit to the functions, again and again, and sees whether the CAD proves it. Without CANARY_URL
 * it begins at the outbox, and says nothing of the functions.
 */
export interface Canary {
  /** Until the signal aborts; at once without a CANARY_UNIT. Never rejects. */
  run(): Promise<void>;
  problems(): Found[];
}

/** What is said of the functions is said already; all else is a fault of Redis. */
const whyMissed = (error: unknown): string => (error instanceof NotAccepted ? error.message : whyFailed(error));

export function createCanary(options: CanaryOptions): Canary {
  const { config, redis, keys, sealer, measure, signal, log } = options;
  const outbox = openOutbox(redis, keys, sealer, atMost(BACKLOG));
  const deadLetters = openDeadLetters(redis, keys, sealer, "command");
  const { CANARY_URL: url } = config;
  const from = url === undefined ? "outbox" : "http";
  let missed = 0;
  let why = "";

  async function send(unit: string): Promise<string> {
    if (url !== undefined) return postCanary({ url, token: options.token() ?? "", unit, ttlSeconds: TTL_S });
    const body = unitsStatus.body.parse({ unit_id: unit, status: "available" });
    const id = randomUUID();
    const request = { id, user: "canary", role: "admin", ttlSeconds: TTL_S, idempotencyKey: undefined } as const;
    const appended = await outbox.append(await toMessage(sealer, unitsStatus, body, request));
    if (appended.outcome !== "accepted") throw new Error(`it was not accepted: ${appended.outcome}`);
    await options.wake();
    return id;
  }

  async function settled(id: string): Promise<MessageRecord | undefined> {
    const until = performance.now() + TTL_S * 1000 + SLACK_MS;
    while (!signal.aborted && performance.now() < until) {
      const record = await withDeadline(outbox.read(id), STEP_MS, "reading the canary").catch(() => undefined);
      if (record && isFinal(record.state)) return record;
      await sleep(LOOK_MS, signal);
    }
    return undefined;
  }

  /** Why it did not arrive; undefined if it did. */
  async function tryOnce(unit: string): Promise<string | undefined> {
    if (!options.ready()) return "the CAD is not connected";
    const began = performance.now();
    const record = await settled(await withDeadline(send(unit), SEND_MS, "sending the canary"));
    // Nobody is to decide what becomes of it.
    if (record && isDead(record.state)) await deadLetters.discard(record.id).catch(() => undefined);
    if (record?.state !== "confirmed" && record?.state !== "received") return record?.state ?? "it was not settled";
    measure.observe("socket_bridge_canary_seconds", (performance.now() - began) / 1000, { from });
    return undefined;
  }

  return {
    async run() {
      const { CANARY_UNIT: unit, CANARY_EVERY_S: everyS } = config;
      if (unit === undefined) return;
      for (; !signal.aborted; await sleep(everyS * 1000, signal)) {
        const reason = await tryOnce(unit).catch(whyMissed);
        if (signal.aborted) return;
        measure.count("socket_bridge_canary_total", { result: reason === undefined ? "delivered" : "missed", from });
        missed = reason === undefined ? 0 : missed + 1;
        if (missed === MISSES) log.warn({ reason, missed, from }, "the canary does not arrive");
        why = reason ?? "";
      }
    },
    problems: () =>
      missed < MISSES ? [] : [found("canary-missed", { count: missed, reason: why, from }, { count: missed })],
  };
}
