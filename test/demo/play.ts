import { randomUUID } from "node:crypto";
import { ask, causeOf, problemOf, text } from "./api.ts";
import { hasEcho, roleOf, tenSteps, type Step } from "./ten-steps.ts";
import type { Tokens } from "./tokens.ts";

export interface PlayOptions {
  url: string;
  tokens: Tokens;
  /** A CAD that never acks shows nothing of a step that it does not broadcast either. */
  cad: "legacy" | "modern";
  log: (line: string) => void;
  signal: AbortSignal;
}

const WAIT_SECONDS = 10;
const COLUMNS = [3, 21, 21, 12, 8, 9];

/** Plays the ten steps one after another, printing each receipt as it comes; says how many went well. */
export async function playTenSteps({
  url,
  tokens,
  cad,
  log,
  signal,
}: PlayOptions): Promise<{ good: number; steps: number }> {
  const incident = `INC-${randomUUID().slice(0, 8).toUpperCase()}`;
  const steps = tenSteps(incident, new Date());
  log(`\nTen steps of incident ${incident}, each printed when its receipt is final:\n`);
  log(line("", "step", "command", "status", "by", "ms", "command_id"));
  let good = 0;
  let noted = false;
  for (const [index, step] of steps.entries()) {
    if (signal.aborted) break;
    const began = performance.now();
    const receipt = await send(url, tokens, step, signal);
    const ms = (performance.now() - began).toFixed(1);
    const enough =
      receipt.status === "confirmed" || (cad === "legacy" && !hasEcho(step) && receipt.status === "received");
    if (enough) good += 1;
    const mark = enough && receipt.status === "received" ? " *" : "";
    noted ||= mark !== "";
    log(line(String(index + 1), step.what, step.command, receipt.status + mark, receipt.by, ms, receipt.id));
    if (!enough) log(`    ${receipt.reason}`);
  }
  if (noted)
    log("\n* The legacy CAD neither acks nor broadcasts this event: that its process has it is all there is to know.");
  log(`\n${good} of ${steps.length} steps ${good === steps.length ? "done" : "went well"}.`);
  return { good, steps: steps.length };
}

interface Outcome {
  status: string;
  by: string;
  id: string;
  reason: string;
}

async function send(url: string, tokens: Tokens, step: Step, signal: AbortSignal): Promise<Outcome> {
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
    .map((cell, i) => (i === 5 ? cell.padStart(7).padEnd(9) : cell.padEnd(COLUMNS[i] ?? 0)))
    .join(" ")
    .trimEnd();
