import type { EventGrade, Grade } from "./probes/probe.ts";

const DEFAULT_TIMEOUT_MS = 5000;
/** So many times what the slowest answer took here: under load it takes longer. */
const MARGIN = 5;

/** Events for which the bridge waits for an echo unless it is told otherwise. */
const ECHO_IS_EXPECTED = new Set([
  "unit:location",
  "unit:status",
  "incident:status",
  "incident:timestamp",
  "incident:created",
  "assignment:sent",
]);

/** The lines of the worker's environment that fit what was found. */
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

/** `barrier` for an event that is to be echoed, and in one of its forms is neither echoed nor acked. */
function confirmOf(events: readonly EventGrade[], named: boolean): string | undefined {
  if (events.length === 0) return undefined;
  const answered = events.filter((e) => e.acks === "yes" || e.echoes === "yes");
  // With ids that nobody named, silence may be about the ids.
  const silent = named ? events.filter((e) => !answered.includes(e) && ECHO_IS_EXPECTED.has(e.event)) : [];
  const barriers = [...new Set(silent.map((e) => `${e.event}=barrier`))];
  return `CAD_CONFIRM=${["auto", ...barriers].join(",")}`;
}
