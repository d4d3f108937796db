import { mixed } from "../world/roll.ts";
import type { Strike } from "../world/world.ts";

/** Which faults may strike at which steps, and how long what they bring lasts: from, to, ms. */
const DURATIONS: Readonly<Record<string, readonly [number, number]>> = {
  "crash before": [100, 6000],
  "crash after": [100, 6000],
  freeze: [300, 9000],
  "cut before": [50, 1500],
  "lost reply": [50, 1500],
  partition: [1500, 6000],
  late: [1200, 7000],
  "slow reply": [800, 2600],
  "redis restart": [100, 4000],
  "lost write": [100, 4000],
  "cut after": [0, 0],
  "half-open": [0, 0],
  refusal: [0, 0],
  rejection: [0, 0],
  silence: [0, 0],
  "slow handler": [100, 4000],
  "database stop": [1000, 12_000],
  "cad crash": [200, 4000],
  "cad hang": [1000, 9000],
  refused: [0, 0],
  "lost wake-up": [0, 0],
  "stale job": [0, 0],
  "service error": [0, 0],
  "no answer": [0, 0],
  busy: [0, 0],
  gone: [0, 0],
};

const REDIS = [
  ...["crash before", "crash after", "freeze", "cut before", "lost reply", "partition", "late", "slow reply"],
  ...["redis restart", "lost write"],
];
const FROM_CAD = ["crash before", "freeze", "cut before", "half-open"];
const TO_CAD = [
  "crash before",
  "crash after",
  "freeze",
  "cut before",
  "cut after",
  "half-open",
  "cad crash",
  "cad hang",
];

/** By the beginning of a step's name; the first that fits. All others are questions to Redis. */
const BY_STEP: readonly [prefix: string, faults: readonly string[]][] = [
  ["frame emit", [...TO_CAD, "refusal", "rejection", "silence", "slow handler", "database stop"]],
  ["frame ack", FROM_CAD],
  ["frame event", FROM_CAD],
  ["frame connect", FROM_CAD],
  ["frame authenticated", FROM_CAD],
  ["frame barrier answer", FROM_CAD],
  ["frame", TO_CAD],
  ["dial", ["crash before", "freeze", "refused"]],
  ["bullmq add", ["crash before", "crash after", "freeze", "lost reply", "lost wake-up"]],
  ["bullmq job", ["crash before", "freeze", "stale job"]],
  ["bullmq", ["crash before", "crash after", "freeze", "lost reply"]],
  ["webhook connect", ["crash before", "freeze", "refused"]],
  [
    "webhook request",
    [
      ...["crash before", "crash after", "freeze", "cut before", "lost reply"],
      ...["service error", "no answer", "slow handler", "busy", "gone"],
    ],
  ],
  ["webhook answer", ["crash before", "freeze", "cut before"]],
  ["http request", ["crash before", "freeze", "cut before", "late"]],
  ["http answer", ["crash before", "freeze", "lost reply", "slow reply"]],
];

/** Pairs that cannot happen, and why. */
const IMPOSSIBLE: readonly { step: string; fault: string; why: string }[] = [
  {
    step: "outboxAppend",
    fault: "lost write",
    why: "Redis is assumed to keep what it has acknowledged: redis-network.ts",
  },
];

export const faultsAt = (step: string): readonly string[] => {
  const [, faults = REDIS] = BY_STEP.find(([prefix]) => step.startsWith(prefix)) ?? [];
  return faults.filter((fault) => !IMPOSSIBLE.some((pair) => pair.step === step && pair.fault === fault));
};

/** One fault of a schedule: it strikes when a step is taken for the nth time. */
export interface PlannedFault {
  step: string;
  nth: number;
  fault: string;
  ms: number;
}

/** A step and a fault that may strike there. */
export interface Pair {
  step: string;
  fault: string;
}

export const pairNamed = ({ step, fault }: Pair): string => `${step} × ${fault}`;

export const pairsOf = (steps: Iterable<string>): Pair[] =>
  [...steps].toSorted().flatMap((step) => faultsAt(step).map((fault) => ({ step, fault })));

/** @param roll for one fault of one schedule */
export function planFault({ step, fault }: Pair, times: number, roll: (what: string) => number): PlannedFault {
  const [from, to] = DURATIONS[fault] ?? [0, 0];
  const nth = 1 + Math.floor(roll("nth") * times);
  return { step, nth, fault, ms: Math.round(from + (to - from) * roll("ms")) };
}

/** Some beside the one that a schedule is for: none, or up to `most`. */
export function planMore(seed: number, steps: Readonly<Record<string, number>>, most: number): PlannedFault[] {
  const pairs = pairsOf(Object.keys(steps));
  return Array.from({ length: Math.floor(mixed(seed, "faults", 0) * (most + 1)) }, (_, i) => {
    const roll = (what: string) => mixed(seed, what, i);
    const pair = pairs[Math.floor(roll("pair") * pairs.length)] as Pair;
    return planFault(pair, Math.max(2, steps[pair.step] ?? 1), roll);
  });
}

export const strikesOf = (faults: readonly PlannedFault[]) => {
  const byStep = new Map(faults.map((fault) => [`${fault.step} #${fault.nth}`, fault]));
  return (step: string, nth: number): Strike | undefined => byStep.get(`${step} #${nth}`);
};
