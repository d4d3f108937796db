import { randomUUID } from "node:crypto";
import type { Command } from "../../../shared/commands/command.ts";
import { commandNamed } from "../../../shared/commands/table.ts";
import type { EventGrade, Probe, ProbeContext } from "./probe.ts";
import { type Subject, type Tried, tryEvent } from "../cad/try-event.ts";

/** In this order: an incident must exist for what follows. */
const TRIED: readonly [command: string, variant: string, example?: number][] = [
  ["incidents", ""],
  ["units/location", ""],
  ["units/status", "with an incident"],
  ["units/status", "without an incident", 1],
  ["incidents/status", ""],
  ["incidents/timestamp", ""],
  ["assignments/send", ""],
  ["transport/completed", ""],
  ["metrics/broadcast", ""],
];
/** Their payload names no subject that the CAD could know or not know. */
const WITHOUT_SUBJECT = new Set(["metrics/broadcast"]);

/** Emits each event once about what the CAD knows, and once about what it cannot know. */
export const events: Probe = {
  title: "events: ack, echo, ids, unknown ids",
  writes: true,
  async run(context) {
    const created = randomUUID();
    const grades: EventGrade[] = [];
    for (const [name, variant, example = 0] of TRIED) {
      const command = commandNamed(name);
      const body = command?.examples[example]?.body ?? command?.examples[0].body;
      if (!command || !body) continue;
      grades.push(await gradeEvent(context, command, variant, body, created));
    }
    return { grades: [], events: grades };
  },
};

async function gradeEvent(
  { client, unit, incident }: ProbeContext,
  command: Command,
  variant: string,
  body: Record<string, unknown>,
  created: string,
): Promise<EventGrade> {
  const isNew = command.name === "incidents";
  // Without an incident that was named, the one that was just announced is the best there is.
  const known: Subject = { unit: unit ?? randomUUID(), incident: isNew ? created : (incident ?? created) };
  const unknown: Subject = { unit: randomUUID(), incident: randomUUID() };
  const named =
    (!("unit_id" in body) || unit !== undefined) && (isNew || !("incident_id" in body) || incident !== undefined);
  const first = await tryEvent(client, command, body, known);
  const second =
    isNew || WITHOUT_SUBJECT.has(command.name) ? undefined : await tryEvent(client, command, body, unknown);
  return {
    event: command.emits[0],
    variant,
    acks: first.ack === "none" ? "no" : "yes",
    echoes: first.echo ? "yes" : "no",
    keepsId: first.echo ? (first.keepsId ? "yes" : "no") : "unknown",
    unknownId: second ? answerOf(second) : "not tried",
    likely: likelyOf(first),
    proves: provenBy(first, second, named),
    answerMs: first.answerMs,
  };
}

/** An ack comes from a handler; an echo that is what was sent, from none. */
export function likelyOf({ ack, echo, verbatim }: Pick<Tried, "ack" | "echo" | "verbatim">): EventGrade["likely"] {
  if (ack !== "none") return "store";
  if (!echo) return "unknown";
  return verbatim ? "relay" : "store";
}

function answerOf(tried: Tried): EventGrade["unknownId"] {
  if (tried.ack === "refused") return "refused";
  if (tried.echo) return "echoed";
  return tried.ack === "yes" ? "acked" : "silent";
}

/** What an answer proves, as far as is visible from outside: whether a row was written shows only in the CAD. */
export function provenBy(known: Tried, unknown: Tried | undefined, named: boolean): string {
  if (known.ack === "refused") return "the CAD refuses it, and says so in its ack";
  if (known.ack === "none" && !known.echo)
    return named
      ? "nothing came back: a barrier alone proves that the CAD's process has it"
      : "nothing came back; the ids were unknown to the CAD: name some with --unit and --incident";
  const said = known.ack === "yes" ? "ack" : "echo";
  if (!unknown) return `the ${said} came; whether the CAD stores it is not visible from outside`;
  const other = answerOf(unknown);
  if (other === "echoed" || other === "acked")
    return `the ${said} comes for ids that the CAD cannot know as well: it proves no write. Whether the CAD stores what it knows is not visible from outside`;
  if (!named) return `the ${said} came for ids that nobody named; name some with --unit and --incident`;
  return `the CAD looked the id up before it answered (${other} for an unknown one): consistent with a write, no proof of one`;
}
