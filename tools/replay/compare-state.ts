import { setTimeout as sleep } from "node:timers/promises";
import { asRecord, ask, problemOf, text } from "../support/api.ts";
import type { ExpectedState } from "./expected-state.ts";
import { byId, differences, type Known } from "./known.ts";

export interface ComparedState {
  equal: number;
  /** Differences from the expected state, by unit or incident. */
  differ: { about: string; wrong: string[] }[];
}

export interface CompareOptions {
  /** Base URL of the API. */
  url: string;
  /** A dispatcher's token. */
  token: string;
  signal: AbortSignal;
}

/** How long the bridge may take to read its journal after the CAD confirmed, ms. */
const WITHIN_MS = 5000;
const ASK_AGAIN_MS = 250;
const PAGE = 200;

/** Compares the bridge's units and incidents with the expected state; polls until they match or the time is up. */
export async function compareState(expected: ExpectedState, options: CompareOptions): Promise<ComparedState> {
  const deadline = performance.now() + WITHIN_MS;
  for (;;) {
    const compared = await compareOnce(expected, options);
    if (compared.differ.length === 0 || performance.now() > deadline || options.signal.aborted) return compared;
    await sleep(ASK_AGAIN_MS);
  }
}

async function compareOnce({ units, incidents }: ExpectedState, options: CompareOptions): Promise<ComparedState> {
  const reported = {
    units: await readAll("units", "unit_id", options),
    incidents: await readAll("incidents", "incident_id", options),
  };
  const compared = [...compare("unit", units, reported.units), ...compare("incident", incidents, reported.incidents)];
  const differ = compared.filter(({ wrong }) => wrong.length > 0);
  return { equal: compared.length - differ.length, differ };
}

const compare = (
  kind: "unit" | "incident",
  all: ReadonlyMap<string, Known>,
  reported: ReadonlyMap<string, unknown>,
): ComparedState["differ"] =>
  [...all].map(([id, known]) => ({ about: `${kind} ${id}`, wrong: differences(reported.get(id), known) }));

/** All of GET /units or /incidents, by id. */
async function readAll(list: string, idField: string, { url, token, signal }: CompareOptions) {
  const all = new Map<string, unknown>();
  for (let cursor: string | undefined = ""; cursor !== undefined;) {
    const after = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const answer = await ask("GET", `${url}/${list}?limit=${PAGE}${after}`, { token, signal });
    if (answer.status !== 200) throw new Error(`GET /${list} answered ${problemOf(answer)}`);
    const items = answer.body[list];
    for (const item of Array.isArray(items) ? items : []) all.set(String(asRecord(item)[idField]), byId(item));
    cursor = text(answer.body["next"]);
  }
  return all;
}
