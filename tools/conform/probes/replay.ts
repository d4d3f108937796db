import { REPLAY_EVENT } from "../../../shared/events/replay.ts";
import { grade, type Probe } from "./probe.ts";

const ANSWER_MS = 2000;
const BACK_MS = 60_000;

/** Requests the events of the last minute, as specified in docs/cad-protocol.md. */
export const replay: Probe = {
  title: REPLAY_EVENT,
  writes: false,
  async run({ client }) {
    const since = new Date(Date.now() - BACK_MS).toISOString();
    const said = await client.ask(REPLAY_EVENT, { since, limit: 10 }, ANSWER_MS);
    return { grades: [gradeOf(said)] };
  },
};

function gradeOf(said: { answer: unknown } | undefined) {
  const what = REPLAY_EVENT;
  if (!said) return grade(what, "no", `no answer within ${ANSWER_MS} ms: missed events are recorded as a gap`);
  const { answer } = said;
  const events = typeof answer === "object" && answer !== null && "events" in answer ? answer.events : undefined;
  if (!Array.isArray(events)) return grade(what, "no", "is answered, but without a list of events");
  const marked = events.every((one: unknown) => hasEventId(one));
  if (!marked)
    return grade(what, "no", "an event has no eventId, so repeats cannot be recognised: the bridge does not use it");
  if (events.length === 0)
    return grade(what, "partly", "is answered without events: whether they carry an eventId is unknown");
  return grade(what, "yes", `is answered; ${events.length} events of the last minute, each with an eventId`);
}

function hasEventId(one: unknown): boolean {
  const payload = typeof one === "object" && one !== null && "payload" in one ? one.payload : undefined;
  return typeof payload === "object" && payload !== null && "eventId" in payload && typeof payload.eventId === "string";
}
