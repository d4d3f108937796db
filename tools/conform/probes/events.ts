import { randomUUID } from "node:crypto";
import type { Command } from "../../../shared/commands/command.ts";
import { commandNamed } from "../../../shared/commands/table.ts";
import type { EventGrade, Probe, ProbeContext } from "./probe.ts";
import { type Subject, type Tried, tryEvent } from "../cad/try-event.ts";

/** In this order: the incident must exist for the later events. */
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
/** Events without a unit or incident id that the CAD could know. */
const WITHOUT_SUBJECT = new Set(["metrics/broadcast"]);

/** Emits each event with an id that the CAD knows, and again with one that it cannot know. */
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
  // Without --incident, the incident just created is the best choice.
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

/** A handler acks or builds its own echo; a verbatim echo is a relay's. */
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

/** What an answer proves, seen from outside: only the CAD itself shows whether a row was written. */
export function provenBy(known: Tried, unknown: Tried | undefined, named: boolean): string {
  if (known.ack === "refused") return "the CAD refuses it in its ack";
  if (known.ack === "none" && !known.echo)
    return named
      ? "no answer: only a barrier can prove that the CAD's process received it"
      : "no answer, but the ids were unknown to the CAD: give known ones with --unit and --incident";
  const answer = known.ack === "yes" ? "ack" : "echo";
  if (!unknown) return `the ${answer} arrived; whether the CAD stores it is not visible from outside`;
  const other = answerOf(unknown);
  if (other === "echoed" || other === "acked")
    return `the ${answer} also arrives for ids that the CAD cannot know, so it does not prove a write. Whether the CAD stores known ids is not visible from outside`;
  if (!named) return `the ${answer} arrived for random ids; give known ones with --unit and --incident`;
  return `the CAD looked the id up before it answered (${other} for an unknown one): consistent with a write, but no proof`;
}
