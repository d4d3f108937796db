import type { OrderCheck } from "./cad-ledger.ts";
import type { ComparedState } from "./compare-state.ts";
import type { ReplayResult } from "./replay-run.ts";
import type { BadRow } from "./sffd.ts";

export interface Replayed {
  rows: number;
  bad: readonly BadRow[];
  calls: number;
  result: ReplayResult;
  /** Absent: no CAD was given, so the order was not checked. An Error: the CAD could not be read. */
  cad?: OrderCheck | Error;
  /** Units and incidents of the bridge, compared with the file. An Error: the bridge could not be read. */
  state?: ComparedState | Error;
}

const EXAMPLES = 5;
const ENOUGH = new Set<string>(["confirmed", "received"]);

/** The ids of the commands that are delivered according to their receipts. */
export const deliveredIds = (result: ReplayResult): string[] =>
  [...result.accepted].filter(([, { settled }]) => ENOUGH.has(settled?.state ?? "")).map(([id]) => id);

/** The report for the terminal, and whether all went well: everything confirmed or received, and in order. */
export function summarize(replayed: Replayed): { good: boolean; text: string } {
  const { rows, bad, calls, result, cad, state } = replayed;
  const accepted = [...result.accepted.values()];
  const repeats = accepted.reduce((sum, one) => sum + one.repeats, 0);
  const perSecond = Math.round((accepted.length * 1000) / Math.max(1, result.sendingMs));
  const open = accepted.filter(({ settled }) => !ENOUGH.has(settled?.state ?? ""));
  const wrong = whatIsWrong(replayed, open.length);
  const lines = [
    row("rows", `${rows}${bad.length > 0 ? `, ${bad.length} of them invalid and not sent` : ""}`),
    row("commands accepted", `${accepted.length} of ${calls}${repeats > 0 ? `, after ${repeats} repeats` : ""}`),
    ...count(accepted.map(({ call }) => call.command)),
    row("final states", ""),
    ...count(accepted.map(({ settled }) => settled?.state ?? "not final")),
    row("accepted after", percentiles(accepted.map((one) => one.acceptedAfterMs))),
    row("settled after that", percentiles(accepted.flatMap((one) => one.settled?.settledAfterMs ?? []))),
    row(
      "duration",
      `${seconds(result.totalMs)}, of which sending ${seconds(result.sendingMs)} (${perSecond} commands/s)`,
    ),
    ...orderLines(cad, result.order.size),
    ...stateLines(state),
    ...section(
      "Bad rows",
      bad.map(({ line, problems }) => `line ${line}: ${problems.join("; ")}`),
      Infinity,
    ),
    ...section(
      "Refused by the bridge",
      result.refused.map(({ call, problem }) => `line ${call.line}, ${call.command}: ${problem}`),
    ),
    ...section(
      "State that differs from the file",
      state === undefined || state instanceof Error ? [] : state.differ.map((d) => `${d.about}: ${d.wrong.join("; ")}`),
    ),
    ...section(
      "Neither confirmed nor received",
      open.map(({ call, settled }) =>
        `line ${call.line}, ${call.command}: ${settled?.state ?? "not final"} ${settled?.reason ?? ""}`.trim(),
      ),
    ),
    ...(result.stopped === undefined ? [] : ["", `Stopped before the end: ${result.stopped}`]),
    "",
    wrong ?? `Every command was confirmed or received${cad === undefined ? "" : ", in order"}.`,
  ];
  return { good: wrong === undefined, text: lines.join("\n") };
}

function orderLines(cad: OrderCheck | Error | undefined, keys: number): string[] {
  if (cad === undefined) return [row("order violations", "not checked: SIMULATOR_URL is not set")];
  if (cad instanceof Error) return [row("order violations", `not checked: ${cad.message}`)];
  const { report, overtakings, missing } = cad;
  return [
    row("order violations", String(violations(cad))),
    row("  seen by the CAD", `${report.violations} on arrival, ${report.appliedViolations} as applied`),
    row("  against the 202s", `${overtakings} among ${keys} units and incidents`),
    row("missing at the CAD", String(missing)),
    row("sent again", String(report.duplicates)),
  ];
}

function stateLines(state: ComparedState | Error | undefined): string[] {
  if (state === undefined) return [];
  if (state instanceof Error) return [row("state", `not compared: ${state.message}`)];
  return [
    row("state compared", `${state.equal + state.differ.length} units and incidents`),
    row("  equal", String(state.equal)),
    row("  differ", String(state.differ.length)),
  ];
}

const violations = ({ report, overtakings }: OrderCheck) => report.violations + report.appliedViolations + overtakings;

/** The first problem that applies, and what to do next. */
function whatIsWrong({ calls, result, cad, state }: Replayed, open: number): string | undefined {
  if (cad instanceof Error) return "The order could not be checked. Check that the simulator is running.";
  if (cad && violations(cad) > 0)
    return "Commands arrived out of order: check GET /simulator/ledger of the simulator, and the worker's log.";
  if (cad && cad.missing > 0) return "Receipts report deliveries that the CAD does not know: check the worker's log.";
  if (result.stopped !== undefined)
    return "Not all commands were sent. Check GET /api/socket-bridge/health and the logs, then replay again.";
  if (result.refused.length > 0) return "Some commands were refused: fix those rows of the file, then replay again.";
  if (open > 0) return "Check their receipts with GET /api/socket-bridge/commands/{id}, and the worker's log.";
  if (state instanceof Error)
    return "The state of units and incidents could not be read: check GET /api/socket-bridge/health.";
  if (state && state.differ.length > 0)
    return "The bridge's state differs from the file: check the CAD's events with GET /api/socket-bridge/events/history.";
  if (calls === 0) return "Nothing was sent: the file contains no row that can be replayed.";
  return undefined;
}

function count(names: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, times]) => row(`  ${name}`, String(times)));
}

const row = (name: string, value: string) => `${name.padEnd(24)} ${value}`.trimEnd();
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

function section(title: string, items: readonly string[], most = EXAMPLES): string[] {
  if (items.length === 0) return [];
  const more = items.length > most ? [`  ... and ${items.length - most} more`] : [];
  return ["", `${title} (${items.length}):`, ...items.slice(0, most).map((item) => `  ${item}`), ...more];
}

export function percentiles(values: readonly number[]): string {
  if (values.length === 0) return "-";
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.ceil(share * sorted.length) - 1] ?? 0).toFixed(1);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`;
}
