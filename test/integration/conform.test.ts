import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import type { CharacterName } from "../../tools/simulator/characters.ts";
import { startCad } from "../../tools/simulator/cad.ts";
import type { Report } from "../../tools/conform/report.ts";
import { until } from "../../tools/support/until.ts";
import { CAD_TOKEN } from "../support/bridge.ts";

const UNIT = randomUUID();
const INCIDENT = randomUUID();
const NAMED = ["--unit", UNIT, "--incident", INCIDENT];

function start(url: string, args: readonly string[], token = CAD_TOKEN) {
  const child = spawn(process.execPath, ["tools/conform/conform.ts", url, ...args], {
    env: { ...process.env, CAD_BACKEND_AUTH_TOKEN: token },
  });
  const printed = { out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => void (printed.out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => void (printed.err += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  onTestFinished(() => void child.kill("SIGKILL"));
  return { child, printed, exited };
}

async function grade(url: string, ...args: string[]): Promise<Report> {
  const { printed, exited } = start(url, ["--json", ...args]);
  expect(await exited, printed.err).toBe(0);
  return JSON.parse(printed.out) as Report;
}

async function startSimulator(character: CharacterName) {
  const cad = await startCad({ token: CAD_TOKEN, character });
  onTestFinished(() => cad.stop());
  return cad;
}
const verdicts = (report: Report) => Object.fromEntries(report.grades.map((g) => [g.what, g.verdict]));
const row = (report: Report, event: string, variant = "") =>
  report.events.find((e) => e.event === event && e.variant === variant);

test("a modern CAD is graded as one that acks, keeps ids, replays and recovers", { timeout: 120_000 }, async () => {
  const cad = await startSimulator("modern");
  const report = await grade(cad.url, "--write", ...NAMED);
  expect(verdicts(report)).toMatchObject({
    "a wrong token": "yes",
    "no token": "no",
    "fastapi:authenticate": "yes",
    barrier: "yes",
    "join and leave are acked": "yes",
    "connection state recovery": "yes",
  });
  expect(["yes", "partly"]).toContain(verdicts(report)["events:replay"]);
  for (const event of report.events)
    expect(event, event.event).toMatchObject({ acks: "yes", keepsId: "yes", likely: "store" });
  expect(report.environment).toEqual(["CAD_CONFIRM=auto"]);
});

// Two CADs at once: most of the time is spent waiting for answers that a legacy CAD does not give.
test(
  "a legacy CAD is graded as one that never acks, drops ids, and neither replays nor recovers; one that never answers an event, as in need of a barrier",
  { timeout: 120_000 },
  async () => {
    const [cad, silent] = await Promise.all([startSimulator("legacy"), startSimulator("legacy")]);
    silent.switches.dropEchoes = 1;
    const [report, ofSilent] = await Promise.all([
      grade(cad.url, "--write", ...NAMED),
      grade(silent.url, "--write", ...NAMED),
    ]);
    expect(ofSilent.environment[0]).toContain("unit:status=barrier");
    expect(verdicts(report)).toMatchObject({
      barrier: "yes",
      "join and leave are acked": "no",
      "events:replay": "no",
      "connection state recovery": "no",
    });
    for (const event of report.events) expect(event, event.event).toMatchObject({ acks: "no" });
    expect(row(report, "unit:location")).toMatchObject({ echoes: "yes", keepsId: "no", unknownId: "echoed" });
    expect(row(report, "unit:location")?.proves).toContain("is not visible from outside");
    expect(row(report, "unit:location")).toMatchObject({ likely: "store" });
    for (const relay of ["incident:created", "assignment:sent"])
      expect(row(report, relay), relay).toMatchObject({ echoes: "yes", keepsId: "yes", likely: "relay" });
    expect(row(report, "transport:completed")).toMatchObject({ echoes: "no", keepsId: "unknown", unknownId: "silent" });
    expect(report.environment[0]).toMatch(/^CAD_CONFIRM=auto/);
    expect(cad.crashed).toBe(false);
  },
);

test("without --write nothing is sent but what concerns the connection, and the report says what was not tried", async () => {
  const cad = await startSimulator("legacy");
  const report = await grade(cad.url);
  expect(report.events).toEqual([]);
  expect(report.skipped.map(({ why }) => why).join()).toContain("--write");
  const sent = new Set(cad.ledger.entries().map(({ event }) => event));
  for (const event of ["fastapi:authenticate", "join:unit", "leave:unit", "events:replay"]) sent.delete(event);
  expect([...sent]).toEqual([]);
}, 60_000);

test("prints tables for people, and progress on standard error", async () => {
  const cad = await startSimulator("modern");
  const { printed, exited } = start(cad.url, []);
  expect(await exited).toBe(0);
  expect(printed.out).toContain("connection state recovery");
  expect(printed.err).toMatch(/1 of \d+: ping and payload limits/);
  expect(printed.out + printed.err).not.toContain(CAD_TOKEN);
}, 60_000);

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each<[what: string, cad: () => Promise<string>, code: number, said: RegExp]>([
  [
    "a CAD that refuses the token",
    async () => {
      const cad = await startCad({ token: "another token" });
      onTestFinished(() => cad.stop());
      return cad.url;
    },
    77,
    /Authentication failed/,
  ],
  [
    "a web server that is no CAD",
    async () => {
      const server = createServer((_request, response) => response.end("<html>hello</html>"));
      onTestFinished(() => void server.close());
      return await listen(server);
    },
    69,
    /no Socket.IO server/,
  ],
  [
    "a server that never answers",
    async () => {
      const sockets = new Set<Socket>();
      const server = createTcpServer((socket) => void sockets.add(socket.on("error", () => undefined)));
      onTestFinished(() => {
        for (const socket of sockets) socket.destroy();
        server.close();
      });
      return await listen(server);
    },
    69,
    /did not answer/,
  ],
  ["a port that nobody listens on", async () => "http://127.0.0.1:1", 69, /cannot be reached/],
])(
  "%s: says so and ends",
  async (_what, cad, code, said) => {
    const { printed, exited } = start(await cad(), []);
    expect(await exited, printed.err).toBe(code);
    expect(printed.err).toMatch(said);
    expect(printed.out).toBe("");
  },
  40_000,
);

test("an empty token, and wrong arguments, are refused before anything is sent", async () => {
  const cad = await startSimulator("legacy");
  expect(await start(cad.url, [], "").exited).toBe(78);
  expect(await start(cad.url, ["--no-such-option"]).exited).toBe(64);
  expect(cad.ledger.entries()).toEqual([]);
}, 40_000);

test("Ctrl-C ends it with its connection closed", async () => {
  const cad = await startSimulator("legacy");
  const { child, exited, printed } = start(cad.url, ["--write"]);
  await until("it grades the events", () => printed.err.includes("events:"), 30_000);
  child.kill("SIGINT");
  expect(await exited).toBe(130);
  await until("the connection is gone", () => cad.connections === 0, 5000);
}, 60_000);
