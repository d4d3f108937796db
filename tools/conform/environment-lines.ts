import { commands } from "../../shared/commands/table.ts";
import type { EventGrade, Grade } from "./probes/probe.ts";

const DEFAULT_TIMEOUT_MS = 5000;
/** So many times what the slowest answer took here: under load it takes longer. */
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

/** Events whose answer shows a write; others are relays, which need no database. */
const SETS = new Set(commands.filter(({ effect }) => effect === "sets").flatMap(({ emits }) => [...emits]));

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
  const writes = silent.filter((e) => SETS.has(e.event));
  const isOutage =
    writes.length > 0 && events.every((e) => !SETS.has(e.event) || writes.includes(e)) && answered.length > 0;
  // A barrier takes receipt for a write: in an outage nothing would hold the commands back any more.
  if (isOutage)
    return "# CAD_CONFIRM: relays are answered and no write is, as when the CAD's database is down. Grade it again once it stores.";
  const barriers = [...new Set(silent.map((e) => `${e.event}=barrier`))];
  return `CAD_CONFIRM=${["auto", ...barriers].join(",")}`;
}
