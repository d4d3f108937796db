import type { Redis } from "ioredis";
import { type Problem, problemId, statusOf } from "../../shared/health/problems.ts";
import { BRIDGE_EVENTS } from "../../shared/journal/entry.ts";
import { whyFailed } from "../../shared/redis/fault.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import { backoffMs } from "../../shared/util/backoff.ts";
import type { Log } from "../../shared/util/log.ts";
import { sleep, withDeadline } from "../../shared/util/sleep.ts";
import type { Forgeries } from "../delivery/forgeries.ts";
import type { Inbound } from "../events/inbound.ts";
import type { WorkerConfig } from "../config/worker-env.ts";
import { call, sendAlert } from "./alert-sender.ts";
import { type Absent, changesOf } from "./changes.ts";
import { openPageStore, type Page, type PageStore, type Receiver } from "./page-store.ts";

const LOOK_MS = 1000;
const STEP_MS = 5000;
/** After a failed page, from, to, ms. It is tried for as long as it waits: at most 1000 pages do. */
const RETRY_FROM_MS = 1000;
const RETRY_TO_MS = 60_000;

export interface PagerOptions {
  config: Pick<WorkerConfig, "ALERT_URL" | "ALERT_AFTER_S" | "HEARTBEAT_URL" | "HEARTBEAT_EVERY_S" | "REDIS_PREFIX">;
  redis: Redis;
  keys: OutboxKeys;
  sealer: Sealer;
  forgeries: Pick<Forgeries, "note">;
  token: string;
  /** All that is wrong now. */
  problems(): readonly Problem[];
  inbound: Pick<Inbound, "say">;
  random: () => number;
  signal: AbortSignal;
  log: Log;
}

export interface Pager {
  /** Until the signal aborts. Never rejects. */
  run(): Promise<void>;
}

/** Reports each problem that opens or is resolved, once: into the journal, and to ALERT_URL. And that all is well, to HEARTBEAT_URL. */
export function createPager(options: PagerOptions): Pager {
  const { config, problems, signal, log } = options;
  const store = openPageStore(options.redis, options.keys, options.sealer, options.token, (what) =>
    options.forgeries.note("record", what),
  );
  const ledSince = Date.now();

  async function watch(): Promise<void> {
    let absent: Absent = new Map();
    const afterMs = config.ALERT_AFTER_S * 1000;
    await forEver(LOOK_MS, "problems could not be noted", async () => {
      const look = { present: problems(), open: await store.open(), absent, now: Date.now(), ledSince, afterMs };
      const { changes, absent: next } = changesOf(look);
      absent = next;
      if (changes.length > 0)
        await store.note(changes, new Date(look.now).toISOString(), config.ALERT_URL !== undefined);
    });
  }

  /** Runs a step again and again; what fails is tried with the next one, and said once. */
  async function forEver(everyMs: number, failed: string, step: () => Promise<void>): Promise<void> {
    let logged = false;
    for (; !signal.aborted; await sleep(everyMs, signal)) {
      try {
        await withDeadline(step(), STEP_MS, failed);
        logged = false;
      } catch (error) {
        if (!logged && !signal.aborted) log.warn({ reason: whyFailed(error) }, failed);
        logged = true;
      }
    }
  }

  async function toJournal({ kind, at, problem }: Page): Promise<string | undefined> {
    const event = kind === "opened" ? BRIDGE_EVENTS.problemOpened : BRIDGE_EVENTS.problemResolved;
    const payload = { ...problem, ...(kind === "resolved" && { resolved: at }) };
    // After a crash in between it is said again, and written once; so is a copy.
    const once = `problem:${kind}:${at}:${problemId(problem)}`;
    const written = await options.inbound.say(event, ["other"], payload, { once });
    return written ? undefined : "the journal takes nothing now";
  }

  const alert = ({ ALERT_URL: url = "", REDIS_PREFIX: bridge }: PagerOptions["config"]) => ({ url, bridge });
  const receivers: Partial<Record<Receiver, (page: Page) => Promise<string | undefined>>> = {
    journal: toJournal,
    ...(config.ALERT_URL !== undefined && { alert: (page: Page) => sendAlert(alert(config), page) }),
  };

  async function sendHeartbeat(url: string): Promise<void> {
    let wrong: string | undefined;
    for (; !signal.aborted; await sleep(config.HEARTBEAT_EVERY_S * 1000, signal)) {
      if (statusOf(problems()) !== "healthy") continue;
      const reason = await call(url, { method: "GET" });
      if (reason !== undefined && reason !== wrong && !signal.aborted)
        log.warn({ reason }, "the heartbeat was not received");
      wrong = reason;
    }
  }

  return {
    async run() {
      const sending = Object.entries(receivers).map(([name, send]) => deliver(store, name as Receiver, send, options));
      const heartbeats = config.HEARTBEAT_URL === undefined ? [] : [sendHeartbeat(config.HEARTBEAT_URL)];
      await Promise.all([watch(), ...sending, ...heartbeats]);
    },
  };
}

/** Sends the pages of one receiver in their order, each until it was taken. */
async function deliver(
  store: PageStore,
  receiver: Receiver,
  send: (page: Page) => Promise<string | undefined>,
  { signal, random, log }: Pick<PagerOptions, "signal" | "random" | "log">,
): Promise<void> {
  for (let failures = 0; !signal.aborted;) {
    const next = await withDeadline(store.next(receiver), STEP_MS, "reading a page").catch(() => undefined);
    if (!next) {
      await sleep(LOOK_MS, signal);
      continue;
    }
    const { code } = next.page.problem;
    const reason = await send(next.page).catch(whyFailed);
    if (reason === undefined) {
      failures = 0;
      log.info({ receiver, code, kind: next.page.kind }, "a problem was reported");
      await withDeadline(store.done(receiver, next.text), STEP_MS, "noting a page").catch(() => sleep(LOOK_MS, signal));
      continue;
    }
    failures += 1;
    if (failures === 1) log.warn({ receiver, code, reason }, "a problem could not be reported: it is tried again");
    await sleep(backoffMs(failures, RETRY_FROM_MS, RETRY_TO_MS, random), signal);
  }
}
