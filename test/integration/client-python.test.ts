import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from "node:child_process";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test, type TestContext } from "vitest";
import { commands } from "../../shared/commands/table.ts";
import { until } from "../../tools/support/until.ts";
import { startBridge, tokens } from "../support/bridge.ts";
import { status, tell } from "../support/destinations.ts";
import { startHost } from "../support/functions-host.ts";

const ROOT = resolve(import.meta.dirname, "../..");

/** Skips a test, with the reason, where there is no Python to try the client with. */
function needPython({ skip }: TestContext): void {
  try {
    execFileSync("python3", ["-c", "import sys; sys.exit(sys.version_info < (3, 9))"], { timeout: 20_000 });
  } catch {
    skip("there is no python3 of version 3.9 or newer");
  }
}

/** A Python takes seconds to start on a machine that is busy. */
const SLOW = { timeout: 60_000 };

type Said = Record<string, unknown>;

/** A Python that does one of the things of client-check.py, and what it says. */
function startPython(
  what: string,
  url: string,
): { process: ChildProcessWithoutNullStreams; said: Said[]; ended(): boolean } {
  const env = {
    ...process.env,
    SOCKET_BRIDGE_URL: url,
    SOCKET_BRIDGE_TOKEN: tokens.admin,
    PYTHONPATH: `${ROOT}/client`,
  };
  const python = spawn("python3", ["-B", `${ROOT}/test/support/client-check.py`, what], { env });
  onTestFinished(() => void python.kill("SIGKILL"));
  const said: Said[] = [];
  let ended = false;
  createInterface(python.stdout).on("line", (line) => said.push(JSON.parse(line) as Said));
  python.stderr.on("data", (text: Buffer) => said.push({ stderr: text.toString() }));
  python.on("close", () => void (ended = true));
  return { process: python, said, ended: () => ended };
}

/** The method of a command: the one of the TypeScript client in the spelling of Python. */
const METHODS: Record<string, string> = {
  "assignments/send": "send_assignment",
  "units/location": "update_unit_location",
  "units/status": "update_unit_status",
  incidents: "create_incident",
  "incidents/status": "update_incident_status",
  "incidents/timestamp": "update_incident_timestamp",
  "transport/completed": "notify_transport_completed",
  "metrics/broadcast": "broadcast_metrics",
  "rooms/join": "join_room",
  "rooms/leave": "leave_room",
};

test("Python sends every command of the table by its method, and gets its receipt", SLOW, async (context) => {
  needPython(context);
  const bridge = await startBridge();
  const python = startPython("commands", bridge.url);
  python.process.stdin.end(JSON.stringify(commands.map(({ name, examples }) => [METHODS[name], examples[0].body])));
  await until("Python is done", python.ended, 50_000);
  expect(python.said).toEqual([
    ...commands.map(({ name }) => ({ name: METHODS[name], command: name, final: true, success: true, same: true })),
    { health: "healthy" },
    { methods: Object.values(METHODS).toSorted() },
  ]);
});

test(
  "Python repeats a command whose response was lost under the same key, and names what is wrong",
  SLOW,
  async (context) => {
    needPython(context);
    const bridge = await startBridge();
    const python = startPython("lost", bridge.url);
    await until("Python is done", python.ended, 50_000);
    expect(python.said).toEqual([
      { success: true, status: "confirmed", same: true },
      { code: "invalid-body", hint: "Fix every field named in errors.", status: 422, attempts: 1 },
    ]);
    expect(bridge.cad.ledger.summary().byEvent["unit:status"]).toBe(1);
  },
);

test(
  "Python is told every event once and in order, though the server restarts in the middle",
  SLOW,
  async (context) => {
    needPython(context);
    const bridge = await startBridge();
    const host = await startHost(bridge.prefix);
    const python = startPython("stream", host.url);
    await until("Python listens", () => python.said.some(({ listening }) => listening === true), 20_000);
    const send = (from: number, to: number) =>
      tell(bridge, "M12", ...Array.from({ length: to - from }, (_, n) => from + n));
    const told = () => python.said.flatMap((line) => ("status" in line ? [line["status"]] : []));
    send(0, 20);
    await until("it is told", () => told().length > 0);
    const stopping = host.stop();
    send(20, 40);
    await stopping;
    await until("Python notices", () => python.said.some(({ error }) => error === "network"));
    await host.start();
    send(40, 60);
    await until("all is told", () => told().length >= 60, 15_000);
    expect(told()).toEqual(Array.from({ length: 60 }, (_, n) => status("M12", n).status));
    python.process.stdin.end();
    await until("Python ends", python.ended);
    expect(python.said.at(-1)).toEqual({ position: expect.stringMatching(/^\d+-\d+$/) });
  },
);
