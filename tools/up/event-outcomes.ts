import { isDeepStrictEqual } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { asRecord, ask, causeOf } from "../support/api.ts";
import { readLedger } from "../replay/cad-ledger.ts";
import { byId, differences } from "../replay/known.ts";
import { readReceived, type Service } from "./services.ts";
import { type Step, UNIT } from "./ten-steps.ts";

export interface OutcomeOptions {
  /** Base URL of the API. */
  url: string;
  /** An admin's token. */
  token: string;
  simulatorUrl: string;
  servicesUrl: string;
  /** The CAD has no handler for this step: at most, its process is known to have received it. */
  unhandled: boolean;
  signal: AbortSignal;
}

/** The effects of a command. A missing one is undefined and explained in `wrong`. */
export interface EventOutcomes {
  /** Id of its event in the journal. */
  entry: string | undefined;
  /** Whether the state of the unit and the incident is as the step should leave it. */
  known: boolean;
  receivedBy: Service[];
  wrong: string[];
}

const WITHIN_MS = 10_000;
const ASK_AGAIN_MS = 20;

/** Waits for the outcome of a step: the CAD's event in the journal, the new state, the webhooks. 10 s at most. */
export async function awaitOutcomes(step: Step, incident: string, commandId: string, options: OutcomeOptions) {
  let came: EventOutcomes;
  const deadline = performance.now() + WITHIN_MS;
  do {
    came = await look(step, incident, commandId, options);
    if (came.wrong.length === 0) break;
    await sleep(ASK_AGAIN_MS, undefined, { signal: options.signal }).catch(() => undefined);
  } while (performance.now() < deadline && !options.signal.aborted);
  return came;
}

async function look(step: Step, incident: string, commandId: string, options: OutcomeOptions): Promise<EventOutcomes> {
  try {
    const [handled, entry, wrongKnown, receivedBy] = await Promise.all([
      outcomeAtCad(commandId, options),
      entryOf(step, incident, commandId, options),
      differencesFrom(step, incident, options),
      servicesThatReceived(commandId, step, options),
    ]);
    const wrong = [
      ...(handled === (options.unhandled ? "unhandled" : "applied") ? [] : [`the CAD's ledger says: ${handled}`]),
      ...(entry === undefined ? [`no ${step.event} for it in the journal`] : []),
      ...wrongKnown,
      ...(isDeepStrictEqual(receivedBy, [...step.services])
        ? []
        : [`received by ${receivedBy.join(", ") || "no service"}, not by ${step.services.join(", ") || "none"}`]),
    ];
    return { entry, known: wrongKnown.length === 0, receivedBy, wrong };
  } catch (error) {
    return { entry: undefined, known: false, receivedBy: [], wrong: [causeOf(error)] };
  }
}

/** The command's outcome according to the CAD's ledger. */
async function outcomeAtCad(commandId: string, { simulatorUrl }: OutcomeOptions): Promise<string> {
  const entries = await readLedger(simulatorUrl, 0);
  return entries.find((entry) => entry.commandId === commandId)?.outcome ?? "never arrived";
}

async function entryOf(step: Step, incident: string, commandId: string, { url, token, signal }: OutcomeOptions) {
  const about = "unit_id" in step.body ? `unit=${UNIT}` : `incident=${incident}`;
  const query = `event=${encodeURIComponent(step.event)}&own=true&${about}`;
  const { body } = await ask("GET", `${url}/events/history?${query}`, { token, signal });
  const events = Array.isArray(body["events"]) ? body["events"].map(asRecord) : [];
  const entry = events.find((event) => event["own_command"] === commandId);
  return entry === undefined ? undefined : String(entry["id"]);
}

/** Each path whose value differs from what the step expects. */
async function differencesFrom({ known }: Step, incident: string, { url, token, signal }: OutcomeOptions) {
  const [aboutUnit, aboutIncident] = await Promise.all(
    [`/units/${UNIT}`, `/incidents/${incident}`].map((path) => ask("GET", url + path, { token, signal })),
  );
  const reported = { unit: byId(aboutUnit?.body), incident: byId(aboutIncident?.body) };
  return differences(reported, known);
}

async function servicesThatReceived(commandId: string, { event }: Step, { servicesUrl }: OutcomeOptions) {
  const { received } = await readReceived(servicesUrl);
  const mine = received.filter((one) => one.owncommand === commandId && one.type === event);
  return mine.map(({ service }) => service).toSorted();
}
