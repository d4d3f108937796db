import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Command } from "../../../shared/commands/command.ts";
import { parseAck } from "../../../worker/cad/ack.ts";
import { isEchoOf, valueAt } from "../../../worker/cad/echo.ts";
import type { CadClient } from "./client.ts";

/** Time limit of an ack or an echo, ms. */
export const ANSWER_MS = 2000;

/** The CAD's answers to one emit. */
export interface Tried {
  ack: "yes" | "refused" | "none";
  echo: boolean;
  keepsId: boolean;
  /** The echo equals the emitted payload: nothing added, missing or changed. */
  verbatim: boolean;
  /** Time to the first answer, ms. */
  answerMs: number | null;
}

export interface Subject {
  unit: string;
  incident: string;
}

/** Emits one command as the bridge would, and waits up to ANSWER_MS each for an ack and an echo. */
export async function tryEvent(
  client: CadClient,
  command: Command,
  given: Record<string, unknown>,
  subject: Subject,
): Promise<Tried> {
  const commandId = randomUUID();
  const context = { commandId, userId: "conform", role: "admin" as const, issuedAt: micros() };
  const body = command.body.parse(withSubject(given, subject));
  const room = command.needsRoom?.(body);
  if (room) client.emit("join:unit", subject.unit);
  const { event, payload } = command.wire(body, context);
  const sent = typeof payload === "string" ? payload : { ...payload, context };

  const from = client.heard.length;
  const begun = performance.now();
  const isOurs = (heard: { event: string; payload: unknown }) => {
    const { echo } = command;
    if (valueAt(heard.payload, "context.commandId") === commandId) return true;
    return echo?.event === heard.event && isEchoOf(echo, sent, heard.payload, commandId);
  };
  let ackAt: number | undefined;
  const [acked, echo] = await Promise.all([
    client.ask(event, sent, ANSWER_MS).then((answer) => {
      if (answer) ackAt = performance.now();
      return answer;
    }),
    client.hear(isOurs, ANSWER_MS, from),
  ]);
  const first = Math.min(ackAt ?? Infinity, echo?.at ?? Infinity);
  const ack = acked === undefined ? "none" : parseAck(acked.answer, sent).verdict === "yes" ? "yes" : "refused";
  return {
    ack,
    echo: echo !== undefined,
    keepsId: echo !== undefined && valueAt(echo.payload, "context.commandId") === commandId,
    verbatim: echo !== undefined && isDeepStrictEqual(echo.payload, JSON.parse(JSON.stringify(sent))),
    answerMs: Number.isFinite(first) ? Math.round(first - begun) : null,
  };
}

/** The example's body with another unit and incident; times are set to now, so that nothing is refused as old. */
function withSubject(given: Record<string, unknown>, { unit, incident }: Subject): Record<string, unknown> {
  return {
    ...given,
    ...("unit_id" in given && { unit_id: unit }),
    ...("incident_id" in given && { incident_id: incident }),
    ...("timestamp" in given && { timestamp: new Date().toISOString() }),
  };
}

const micros = () => new Date().toISOString().replace("Z", "000Z");
