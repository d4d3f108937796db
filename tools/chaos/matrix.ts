import type { Verdict, ViolationKind } from "./check/checker.ts";
import type { EventViolationKind } from "./check/event-checker.ts";
import type { Fault } from "./faults/faults.ts";
import type { FaultRun } from "./run-fault.ts";

const sumEvents = (runs: readonly FaultRun[], of: (run: FaultRun["events"]) => number) =>
  runs.reduce((total, { events }) => total + of(events), 0);
const eventViolations = (runs: readonly FaultRun[], kinds: readonly EventViolationKind[]) =>
  sumEvents(runs, ({ violations }) => violations.filter(({ kind }) => kinds.includes(kind)).length);

/** Columns of the event matrix. */
const EVENT_COLUMNS = [
  "fault",
  "journalled",
  "for services",
  "received",
  "duplicates",
  "gaps recorded",
  "lost",
  "reordered",
  "stuck",
];
const EVENTS_LOST: readonly EventViolationKind[] = [
  "event lost on the way to the journal",
  "event lost on the way to a destination",
];
const EVENTS_REORDERED: readonly EventViolationKind[] = [
  "event out of order at a destination",
  "event that comes again after a newer one",
];

const eventRowOf = (fault: Fault, runs: readonly FaultRun[]): string[] => [
  fault.name,
  ...[sumEvents(runs, (e) => e.journalled), sumEvents(runs, (e) => e.wanted), sumEvents(runs, (e) => e.received)].map(
    String,
  ),
  ...[sumEvents(runs, (e) => e.duplicates), sumEvents(runs, (e) => e.gaps)].map(String),
  ...[EVENTS_LOST, EVENTS_REORDERED, ["event left in an outbox"] as const].map((kinds) =>
    String(eventViolations(runs, kinds)),
  ),
];

const COLUMNS = [
  ...["fault", "runs", "accepted", "delivered", "superseded", "dead letters", "duplicates"],
  ...["lost", "reordered", "stuck", "recovered in", "bound"],
];
const REORDERED: readonly ViolationKind[] = ["first delivery out of order", "late repeat"];
const STUCK: readonly ViolationKind[] = ["no final state", "left in the outbox", "stuck job"];

const sum = <T>(list: readonly T[], of: (one: T) => number) => list.reduce((total, one) => total + of(one), 0);
const violationsOf = (runs: readonly FaultRun[], kinds: readonly ViolationKind[]) =>
  sum(runs, ({ verdict }) => verdict.violations.filter(({ kind }) => kinds.includes(kind)).length);
const deadLetters = ({ dead }: Verdict) => sum(Object.values(dead), (count) => count);

/** A Markdown table with columns of fixed width: the faults that ran, in the order of their table. */
export const renderMatrix = (faults: readonly Fault[], runs: readonly FaultRun[]): string =>
  render(COLUMNS, rowOf, faults, runs);
/** The same for events. */
export const renderEventMatrix = (faults: readonly Fault[], runs: readonly FaultRun[]): string =>
  render(EVENT_COLUMNS, eventRowOf, faults, runs);

function render(
  columns: readonly string[],
  toRow: (fault: Fault, runs: readonly FaultRun[]) => string[],
  faults: readonly Fault[],
  runs: readonly FaultRun[],
): string {
  const rows = faults.flatMap((fault) => {
    const its = runs.filter((run) => run.fault === fault);
    return its.length === 0 ? [] : [toRow(fault, its)];
  });
  const all = [columns, ...rows];
  const widths = columns.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  const text = (row: readonly string[]) =>
    `| ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(" | ")} |`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  return [text(columns), rule, ...rows.map(text)].join("\n");
}

function rowOf(fault: Fault, runs: readonly FaultRun[]): string[] {
  const total = (of: (verdict: Verdict) => number) => String(sum(runs, ({ verdict }) => of(verdict)));
  const times = runs.flatMap(({ recoveredMs }) => recoveredMs ?? []);
  const slowest = times.length < runs.length ? "never" : `${(Math.max(...times) / 1000).toFixed(2)} s`;
  return [
    fault.name,
    String(runs.length),
    ...[total((v) => v.accepted), total((v) => v.delivered), total((v) => v.superseded), total(deadLetters)],
    total((v) => v.duplicates),
    String(violationsOf(runs, ["lost"])),
    String(violationsOf(runs, REORDERED)),
    String(violationsOf(runs, STUCK)),
    fault.recovery ? slowest : "",
    fault.recovery ? `${fault.recovery.withinMs / 1000} s` : "",
  ];
}

/** What the matrices have no columns for. */
export function renderRemarks(runs: readonly FaultRun[]): string[] {
  const dead = new Map<string, number>();
  for (const { verdict } of runs) {
    for (const [reason, count] of Object.entries(verdict.dead)) dead.set(reason, (dead.get(reason) ?? 0) + count);
  }
  const reasons = [...dead].map(([reason, count]) => `${count} x "${reason}"`).join(", ") || "none";
  return [
    `Late repeats that are not failures (sent before their connection broke, received after a newer command): ${sum(runs, (r) => r.verdict.excusedRepeats)}.`,
    `Emits from a frozen process or path while another worker held the lease, not failures either: ${sum(runs, (r) => r.verdict.excusedEmits)}.`,
    `Webhooks repeated by a frozen worker after a newer one, not failures either: ${sumEvents(runs, (e) => e.excused)}.`,
    `Emits by a worker without the lease: ${violationsOf(runs, ["emit by another than the owner"])}.`,
    `Processes that exited and were restarted, as a supervisor would: ${sum(runs, (r) => r.endings.length)}.`,
    `Dead letters: ${reasons}.`,
  ];
}
