import { isDeepStrictEqual } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { asRecord, ask, causeOf } from "../support/api.ts";
import { readLedger } from "../replay/cad-ledger.ts";
import { byId, differences } from "../replay/known.ts";
import { readReceived, type Service } from "./services.ts";
import { type Step, UNIT } from "./ten-steps.ts";

export interface WayBackOptions {
  /** Of the API. */
  url: string;
  /** An admin's. */
  token: string;
  simulatorUrl: string;
  servicesUrl: string;
  /** The CAD has no handler for the step: that its process has it is all. */
  unhandled: boolean;
  signal: AbortSignal;
}

/** What came back of a command. What is missing is undefined, and `wrong` says so. */
export interface CameBack {
  /** The id of its event in the journal. */
  entry: string | undefined;
  /** Whether units and incidents are known to be as the step left them. */
  known: boolean;
  heardBy: Service[];
  wrong: string[];
}

const WITHIN_MS = 10_000;
const ASK_AGAIN_MS = 20;

/** Waits for what is to come back of a step: the CAD's event in the journal, the new state, the webhooks. */
export async function followBack(step: Step, incident: string, commandId: string, options: WayBackOptions) {
  let came: CameBack;
  const deadline = performance.now() + WITHIN_MS;
  do {
    came = await look(step, incident, commandId, options);
    if (came.wrong.length === 0) break;
    await sleep(ASK_AGAIN_MS, undefined, { signal: options.signal }).catch(() => undefined);
  } while (performance.now() < deadline && !options.signal.aborted);
  return came;
}

async function look(step: Step, incident: string, commandId: string, options: WayBackOptions): Promise<CameBack> {
  try {
    const [handled, entry, wrongKnown, heardBy] = await Promise.all([
      outcomeAtCad(commandId, options),
      entryOf(step, incident, commandId, options),
      whatIsNotKnown(step, incident, options),
      servicesThatReceived(commandId, step, options),
    ]);
    const wrong = [
      ...(handled === (options.unhandled ? "unhandled" : "applied") ? [] : [`the CAD's ledger says: ${handled}`]),
      ...(entry === undefined ? [`no ${step.event} of it is in the journal`] : []),
      ...wrongKnown,
      ...(isDeepStrictEqual(heardBy, [...step.tells])
        ? []
        : [`heard by ${heardBy.join(", ") || "no service"}, not by ${step.tells.join(", ") || "none"}`]),
    ];
    return { entry, known: wrongKnown.length === 0, heardBy, wrong };
  } catch (error) {
    return { entry: undefined, known: false, heardBy: [], wrong: [causeOf(error)] };
  }
}

/** What became of it in the CAD, by its own ledger. */
async function outcomeAtCad(commandId: string, { simulatorUrl }: WayBackOptions): Promise<string> {
  const entries = await readLedger(simulatorUrl, 0);
  return entries.find((entry) => entry.commandId === commandId)?.outcome ?? "it never came";
}

async function entryOf(step: Step, incident: string, commandId: string, { url, token, signal }: WayBackOptions) {
  const about = "unit_id" in step.body ? `unit=${UNIT}` : `incident=${incident}`;
  const query = `event=${encodeURIComponent(step.event)}&own=true&${about}`;
  const { body } = await ask("GET", `${url}/events/history?${query}`, { token, signal });
  const events = Array.isArray(body["events"]) ? body["events"].map(asRecord) : [];
  const entry = events.find((event) => event["own_command"] === commandId);
  return entry === undefined ? undefined : String(entry["id"]);
}

/** Each path at which what is known is not what the step says. */
async function whatIsNotKnown({ known }: Step, incident: string, { url, token, signal }: WayBackOptions) {
  const [aboutUnit, aboutIncident] = await Promise.all(
    [`/units/${UNIT}`, `/incidents/${incident}`].map((path) => ask("GET", url + path, { token, signal })),
  );
  const told = { unit: byId(aboutUnit?.body), incident: byId(aboutIncident?.body) };
  return differences(told, known);
}

async function servicesThatReceived(commandId: string, { event }: Step, { servicesUrl }: WayBackOptions) {
  const { received } = await readReceived(servicesUrl);
  const mine = received.filter((one) => one.owncommand === commandId && one.type === event);
  return mine.map(({ service }) => service).toSorted();
}
