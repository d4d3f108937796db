import { randomUUID } from "node:crypto";
import { ask, causeOf, problemOf, text } from "../support/api.ts";
import { hasEcho, roleOf, tenSteps, type Step } from "./ten-steps.ts";
import type { Tokens } from "../support/tokens.ts";
import { type EventOutcomes, awaitOutcomes } from "./event-outcomes.ts";

export interface PlayOptions {
  url: string;
  simulatorUrl: string;
  servicesUrl: string;
  tokens: Tokens;
  /** The legacy CAD never acks, so a step that it does not broadcast cannot be confirmed. */
  cad: "legacy" | "modern";
  log: (line: string) => void;
  signal: AbortSignal;
}

const WAIT_SECONDS = 10;
const WIDTHS = [3, 20, 20, 11, 4, 7, 27, 6, 13];
const RIGHT = 5;
const NOTE = `
* The legacy CAD has no handler for transport:completed: it neither acks nor broadcasts it. Only receipt by its process can be
  proven, so the bridge reports it to the services itself, as a journal entry of kind "bridge".`;

/** Plays the ten steps in order; prints the command, event, new state and webhooks of each, then how many succeeded. */
export async function playTenSteps(options: PlayOptions): Promise<{ good: number; steps: number }> {
  const { cad, log, signal } = options;
  const incident = `INC-${randomUUID().slice(0, 8).toUpperCase()}`;
  const steps = tenSteps(incident, new Date());
  log(`\nTen steps of incident ${incident}, each printed when its receipt is final and its events have come back:\n`);
  log(line("", "to the CAD", "", "", "", "", "| back from the CAD"));
  log(line("", "step", "command", "receipt", "by", "ms", "| event in the journal", "state", "webhooks to"));
  let good = 0;
  let noted = false;
  for (const [index, step] of steps.entries()) {
    if (signal.aborted) break;
    const began = performance.now();
    const receipt = await send(step, options);
    const ms = (performance.now() - began).toFixed(1);
    const silent = cad === "legacy" && !hasEcho(step);
    const delivered = receipt.status === "confirmed" || (silent && receipt.status === "received");
    const came = delivered
      ? await awaitOutcomes(step, incident, receipt.id, { ...options, token: options.tokens.admin, unhandled: silent })
      : undefined;
    const enough = came?.wrong.length === 0;
    if (enough) good += 1;
    noted ||= enough && silent;
    const status = receipt.status + (enough && silent ? " *" : "");
    log(line(String(index + 1), step.what, step.command, status, receipt.by, ms, ...back(step, came)));
    if (!delivered) log(`    ${receipt.reason}`);
    for (const wrong of came?.wrong ?? []) log(`    ${wrong}`);
  }
  if (noted) log(NOTE);
  log(`\n${good} of ${steps.length} steps ${good === steps.length ? "done" : "succeeded"}.`);
  return { good, steps: steps.length };
}

function back({ event }: Step, came: EventOutcomes | undefined): string[] {
  if (!came) return ["| -"];
  return [`| ${came.entry ? event : "-"}`, came.known ? "known" : "-", came.receivedBy.join(", ")];
}

interface Outcome {
  status: string;
  by: string;
  id: string;
  reason: string;
}

async function send(step: Step, { url, tokens, signal }: PlayOptions): Promise<Outcome> {
  try {
    const answer = await ask("POST", `${url}/${step.command}`, {
      token: tokens[roleOf(step)],
      body: step.body,
      headers: { prefer: `wait=${WAIT_SECONDS}`, "idempotency-key": randomUUID() },
      withinMs: (WAIT_SECONDS + 5) * 1000,
      signal,
    });
    const known = { by: text(answer.body["confirmed_by"]) ?? "-", id: text(answer.body["command_id"]) ?? "-" };
    const status = text(answer.body["status"]);
    if (answer.status === 200 && status !== undefined)
      return { ...known, status, reason: text(answer.body["reason"]) ?? "" };
    if (answer.status === 202)
      return { ...known, status: status ?? "accepted", reason: `not final after ${WAIT_SECONDS} s` };
    return { ...known, status: String(answer.status), reason: problemOf(answer) };
  } catch (error) {
    return { status: "no answer", by: "-", id: "-", reason: causeOf(error) };
  }
}

const line = (...cells: string[]) =>
  cells
    .map((cell, i) => (i === RIGHT ? `${cell.padStart(WIDTHS[i] ?? 0)} ` : cell.padEnd(WIDTHS[i] ?? 0)))
    .join(" ")
    .trimEnd();
