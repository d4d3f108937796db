import { commands } from "../../shared/commands/table.ts";
import type { EventGrade, Grade } from "./probes/probe.ts";

const DEFAULT_TIMEOUT_MS = 5000;
/** Timeout as a multiple of the slowest answer measured: under load it takes longer. */
const MARGIN = 5;

/** Events for which the bridge waits for an echo by default. */
const ECHO_IS_EXPECTED = new Set([
  "unit:location",
  "unit:status",
  "incident:status",
  "incident:timestamp",
  "incident:created",
  "assignment:sent",
]);

/** Events whose answer suggests a write; the others are relays, which need no database. */
const SETS = new Set(commands.filter(({ effect }) => effect === "sets").flatMap(({ emits }) => [...emits]));

/** Lines for the worker's environment that match the findings. */
export function environmentLines(grades: readonly Grade[], events: readonly EventGrade[], named: boolean): string[] {
  const lines: string[] = [];
  const confirm = confirmOf(events, named);
  if (confirm) lines.push(confirm);
  const slowest = Math.max(0, ...events.map(({ answerMs }) => answerMs ?? 0));
  if (slowest * MARGIN > DEFAULT_TIMEOUT_MS)
    lines.push(`CAD_CONFIRM_TIMEOUT_MS=${Math.min(60_000, Math.ceil((slowest * MARGIN) / 1000) * 1000)}`);
  if (grades.some(({ what, verdict }) => what === "fastapi:authenticate" && verdict === "no"))
    lines.push("CAD_AUTH_WAIT_MS=500");
  return lines;
}

/** `barrier` for an event that should be echoed, but in one of its forms is neither echoed nor acked. */
function confirmOf(events: readonly EventGrade[], named: boolean): string | undefined {
  if (events.length === 0) return undefined;
  const answered = events.filter((e) => e.acks === "yes" || e.echoes === "yes");
  // Without --unit and --incident, the CAD may be silent because it does not know the ids.
  const silent = named ? events.filter((e) => !answered.includes(e) && ECHO_IS_EXPECTED.has(e.event)) : [];
  const writes = silent.filter((e) => SETS.has(e.event));
  const isOutage =
    writes.length > 0 && events.every((e) => !SETS.has(e.event) || writes.includes(e)) && answered.length > 0;
  // A barrier would count receipt as confirmation: in an outage nothing would hold the commands back.
  if (isOutage)
    return "# CAD_CONFIRM: relays are answered but writes are not, as when the CAD's database is down. Run conform again once it is up.";
  const barriers = [...new Set(silent.map((e) => `${e.event}=barrier`))];
  return `CAD_CONFIRM=${["auto", ...barriers].join(",")}`;
}
