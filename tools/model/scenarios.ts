import type { Scenario } from "./outbox.ts";
import type { CommandModel } from "./state.ts";

const status = (...keys: ("A" | "B")[]): CommandModel => ({ keys, answer: "write", sets: true });
const relay = (...keys: ("A" | "B")[]): CommandModel => ({ keys, answer: "relay", sets: false });
const position = (...keys: ("A" | "B")[]): CommandModel => ({ keys, answer: "write", sets: true, latestWins: true });
const transport = (...keys: ("A" | "B")[]): CommandModel => ({ keys, answer: "none", sets: false });

const holding = (...keys: ("A" | "B")[]): CommandModel => ({ ...status(...keys), holds: true });
const redriveOf = (letter: number, ...keys: ("A" | "B")[]): CommandModel => ({ ...status(...keys), redriveOf: letter });
const metrics = (...keys: ("A" | "B")[]): CommandModel => ({ ...transport(...keys), latestWins: true });

/** Each is explored to the end. Together they have every fault, and every kind of command, beside every other. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: "two statuses of one unit: crash, freeze, lost reply",
    commands: [status("A"), status("A")],
    faults: { crash: 1, freeze: 1, lostReply: 1 },
  },
  {
    name: "two statuses of one unit: freeze, lapse, lost write",
    commands: [status("A"), status("A")],
    faults: { freeze: 1, lapse: 1, lostWrite: 1 },
  },
  {
    name: "a command with two keys between two others: crash, lost wake-up, lapse",
    commands: [status("A"), status("A", "B"), status("B")],
    faults: { crash: 1, lostWakeUp: 1, lapse: 1 },
  },
  {
    name: "a command with two keys between two others: freeze, lost reply",
    commands: [status("A"), status("A", "B"), status("B")],
    faults: { freeze: 1, lostReply: 1 },
  },
  {
    name: "positions behind a status: freeze, stale job",
    commands: [status("A"), position("A"), position("A")],
    faults: { freeze: 1, staleJob: 1 },
  },
  {
    name: "four commands, positions with other keys among them: crash, lost reply",
    commands: [status("A"), position("A", "B"), position("A"), position("A")],
    faults: { crash: 1, lostReply: 1 },
  },
  {
    name: "a relay and a transport beside a status: the CAD's database stops, disconnect, crash",
    commands: [relay("A", "B"), status("A"), transport("B")],
    faults: { database: 1, disconnect: 1, crash: 1 },
  },
  {
    name: "four commands, two of them with two keys: crash",
    commands: [status("A"), relay("A", "B"), status("A", "B"), transport("B")],
    faults: { crash: 1 },
  },
  {
    name: "Redis restarts without its last write: crash, freeze",
    commands: [status("A"), status("A", "B")],
    faults: { lostWrite: 1, crash: 1, freeze: 1 },
  },
  {
    name: "a dead letter holds its place before a transport and metrics: crash",
    commands: [holding("A", "B"), transport("A"), metrics("B"), metrics("B"), redriveOf(0, "A", "B")],
    faults: { crash: 1 },
  },
  {
    name: "a slot migrates: lost reply, crash",
    commands: [status("A"), status("A", "B"), relay("B")],
    faults: { migration: 1, lostReply: 1, crash: 1 },
  },
];
