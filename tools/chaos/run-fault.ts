import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { seededRandom } from "../simulator/random.ts";
import type { CadLedger } from "./check/cad-ledger.ts";
import { check, type Verdict } from "./check/checker.ts";
import type { Fault } from "./faults/faults.ts";
import { checkEvents, type EventVerdict } from "./check/event-checker.ts";
import { readReceipts, waitUntilEmpty } from "./rig/leftovers.ts";
import { startProducer } from "./load/producer.ts";
import { type Rig, startRig } from "./rig/rig.ts";
import { readEvents } from "./rig/services.ts";

/** The result of one run of a fault. */
export interface FaultRun {
  fault: Fault;
  seed: number;
  verdict: Verdict;
  /** The verdict on events. */
  events: EventVerdict;
  /** Undefined if there is nothing to recover from, or it did not recover. */
  recoveredMs: number | undefined;
  /** Processes that exited and were restarted, as by a supervisor: not a failure. */
  endings: string[];
  /** Descriptions of everything wrong; empty if the run passed. */
  failures: string[];
}

const RATE = 120;
/** Slow enough that some commands are in flight whenever a fault strikes. */
const CAD_TAKES = { delayMs: { min: 5, max: 60 } };
const BEFORE_MS = 1500;
const AFTER_MS = 1500;
/** How much longer than allowed to wait for a recovery, in order to measure it, ms. */
const PATIENCE_MS = 20_000;
/** A command that is refused repeatedly takes a minute to become final, ms. */
const EMPTY_WITHIN_MS = 75_000;
const SHOWN = 5;

/** @param dir directory of the evidence */
export async function runFault(fault: Fault, seed: number, dir: string): Promise<FaultRun> {
  mkdirSync(dir, { recursive: true });
  const { cad, workers, switches = {} } = fault;
  const rig = await startRig({ dir, cad, workers, switches: { ...CAD_TAKES, ...switches } });
  try {
    return await strikeAndJudge(rig, fault, seed, dir);
  } finally {
    await rig.stop();
  }
}

async function strikeAndJudge(rig: Rig, fault: Fault, seed: number, dir: string): Promise<FaultRun> {
  const random = seededRandom(seed);
  const producer = startProducer({ urls: rig.urls, token: rig.token, random: seededRandom(seed + 1), rate: RATE });
  let recoveredMs: number | undefined;
  let since: number;
  try {
    await pause(BEFORE_MS);
    since = await fault.strike(rig, random);
    if (fault.recovery) recoveredMs = await recovery(rig.ledger, fault.recovery, since);
    await pause(AFTER_MS);
  } finally {
    await producer.stop();
  }

  const left = await waitUntilEmpty(rig, EMPTY_WITHIN_MS);
  const receipts = await readReceipts(rig, producer.accepted);
  rig.ledger.poll();
  const seen = await readEvents(rig.redisUrl, rig.services, rig.ledger.broadcasts, EMPTY_WITHIN_MS);
  const events = { ...seen, stalls: rig.stalls };
  const eventVerdict = checkEvents(events);
  const evidence = {
    accepted: producer.accepted,
    arrivals: rig.ledger.arrivals,
    receipts,
    left,
    owners: rig.lease.changes,
    stalls: rig.stalls,
  };
  const verdict = check(evidence);
  const failures = [
    ...formatViolations([...verdict.violations, ...eventVerdict.violations]),
    ...formatRecovery(fault, recoveredMs),
    ...producer.problems.slice(0, SHOWN),
  ];
  if (verdict.accepted === 0 || verdict.delivered === 0) failures.push("nothing was delivered: this run shows nothing");
  if (eventVerdict.received === 0) failures.push("no service got an event: this run shows nothing about events");
  if (failures.length > 0) {
    const kept = {
      fault: fault.name,
      seed,
      since,
      failures,
      verdict,
      eventVerdict,
      events: { ...events, dead: [...events.dead] },
      ...evidence,
      receipts: Object.fromEntries(receipts),
    };
    writeFileSync(join(dir, "evidence.json"), JSON.stringify(kept, null, 1));
  }
  return { fault, seed, verdict, events: eventVerdict, recoveredMs, endings: rig.endings(), failures };
}

/** Ms from `since` until the CAD received something as the fault requires; undefined if it did not in time. */
async function recovery(ledger: CadLedger, { withinMs, on }: NonNullable<Fault["recovery"]>, since: number) {
  const until = since + withinMs + PATIENCE_MS;
  for (;;) {
    ledger.poll();
    const first = ledger.arrivals.find((a) => a.time >= since && (on === "any connection" || a.opened >= since));
    if (first) return first.time - since;
    if (Date.now() > until) return undefined;
    await pause(50);
  }
}

function formatViolations(violations: readonly { kind: string; what: string }[]): string[] {
  const kinds = [...new Set(violations.map((v) => v.kind))];
  return kinds.map((kind) => {
    const these = violations.filter((v) => v.kind === kind).map((v) => v.what);
    return `${these.length} x ${kind}: ${these.slice(0, SHOWN).join("; ")}${these.length > SHOWN ? "; ..." : ""}`;
  });
}

function formatRecovery({ recovery: bound }: Fault, recoveredMs: number | undefined): string[] {
  if (!bound || (recoveredMs ?? Infinity) <= bound.withinMs) return [];
  const took = recoveredMs === undefined ? "not in time" : `after ${(recoveredMs / 1000).toFixed(2)} s`;
  return [`nothing reached the CAD within ${bound.withinMs / 1000} s of ${bound.since}: ${took}`];
}
