import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { ask } from "../../tools/support/api.ts";
import { readCsv } from "../../tools/replay/csv.ts";
import { byId, differences } from "../../tools/replay/known.ts";
import { readRunning } from "../../tools/support/run-file.ts";
import { REQUIRED_COLUMNS } from "../../tools/replay/sffd-row.ts";
import { freePort } from "../../tools/setup/free-port.ts";
import { runScript, type ScriptRun } from "../../tools/setup/run-script.ts";
import { connectDashboard, connectMdt } from "../support/cad-clients.ts";

const START_MS = 40_000;
/** Several times what it takes on two slow cores, with other work on them. */
const DAY_MS = 150_000;
const dir = mkdtempSync(join(tmpdir(), "socket-bridge-replay-"));
let up: ScriptRun;

beforeAll(async () => {
  // The CAD that there is: it never acks, and its handlers run concurrently.
  const args = ["--dir", dir, "--port", String(await freePort()), "--cad", "legacy"];
  up = runScript("tools/up/up.ts", args, { REDIS_URL: undefined, REDIS_PREFIX: undefined });
  await vi.waitFor(() => expect(up.output()).toContain("Everything is running"), { timeout: START_MS });
}, START_MS + 5_000);

afterAll(async () => {
  up.child.kill("SIGTERM");
  await up.ended;
  rmSync(dir, { recursive: true, force: true });
}, 20_000);

const replay = (file: string, ...args: string[]) =>
  runScript("tools/replay/replay.ts", [file, "--dir", dir, ...args]).ended;
const number = (output: string, name: string) =>
  Number(new RegExp(String.raw`^ *${name} +(\d+)`, "m").exec(output)?.[1]);

const COLUMNS = [
  ...[
    "Call Number",
    "Unit ID",
    "Incident Number",
    "Call Type",
    "Received DtTm",
    "Entry DtTm",
    "Dispatch DtTm",
    "Response DtTm",
  ],
  ...[
    "On Scene DtTm",
    "Transport DtTm",
    "Hospital DtTm",
    "Available DtTm",
    "Address",
    "Final Priority",
    "ALS Unit",
    "Location",
  ],
];

const time = (minute: number, second: number) =>
  `05/06/2021 ${String(1 + Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}:${String(second).padStart(2, "0")} AM`;

/** An invented day: every incident has two units, and every unit goes from one incident to the next. */
function inventedDay(incidents: number): string {
  const rows = Array.from({ length: incidents * 2 }, (_, i) => {
    const incident = Math.floor(i / 2);
    const at = (second: number) => time(incident, second);
    return [
      `9${incident}`,
      `X${(incident + (i % 2)) % 5}`,
      `90${incident}`,
      "Cat in Tree",
      at(0),
      at(1),
      at(2 + (i % 2)),
      at(10),
      at(20),
      at(30),
      at(40),
      at(50),
      "1 Block of EXAMPLE ST",
      "3",
      "true",
      '"(37.5, -122.25)"',
    ].join(",");
  });
  return [COLUMNS.join(","), ...rows, ""].join("\n");
}

/** A time of the CAD's that no row of the file has. */
const MDT_FIELD = "time_incident_created";

const entry = z.object({
  id: z.string(),
  event: z.string(),
  kind: z.string(),
  own_command: z.string().nullable(),
  payload: z.record(z.string(), z.unknown()),
});
const historyPage = z.object({ events: z.array(entry), next: z.string().nullable() });
type Client = { url: string; token: string };

const history = async ({ url, token }: Client, query: string) =>
  historyPage.parse((await ask("GET", `${url}/events/history?${query}`, { token })).body);
const newest = async (client: Client) => (await history(client, "limit=1")).events[0];

async function journalAfter(client: Client, id: string): Promise<z.infer<typeof entry>[]> {
  const all: z.infer<typeof entry>[] = [];
  for (let cursor: string | null = id; cursor !== null;) {
    const page: z.infer<typeof historyPage> = await history(client, `order=oldest&limit=500&cursor=${cursor}`);
    all.push(...page.events);
    cursor = page.next;
  }
  return all;
}

/** The unit with the most rows. */
async function busiestUnit(file: string): Promise<string> {
  const rows = new Map<string, number>();
  for await (const { row } of readCsv(file, REQUIRED_COLUMNS, Infinity))
    rows.set(row["unit_id"] ?? "", (rows.get(row["unit_id"] ?? "") ?? 0) + 1);
  return [...rows].toSorted((a, b) => b[1] - a[1])[0]?.[0] ?? "";
}

describe("npm run replay", () => {
  it("delivers a generated day in order and lists its invalid rows", { timeout: START_MS }, async () => {
    const file = join(dir, "invented.csv");
    writeFileSync(file, `${inventedDay(20)}91,X9,,Cat in Tree,yesterday,,,,,,,,,3,true,\n`);
    const { code, output } = await replay(file);
    expect(output).toMatch(/rows +41, 1 of them invalid and not sent/);
    expect(output).toMatch(
      /line 42: received_dttm: "yesterday" is not a time like .*; incident_number is blank; address is blank/,
    );
    expect(output).toMatch(/commands accepted +580 of 580/);
    expect([number(output, "confirmed"), number(output, "received")]).toEqual([540, 40]);
    expect([number(output, "order violations"), number(output, "missing at the CAD")]).toEqual([0, 0]);
    expect([number(output, "equal"), number(output, "differ")]).toEqual([25, 0]);
    expect(code).toBe(0);
  });

  it("keeps the given speed", { timeout: START_MS }, async () => {
    const file = join(dir, "pace.csv");
    writeFileSync(file, inventedDay(2));
    const { code, output } = await replay(file, "--speed", "100");
    // From the first row's second 0 to the last one's minute 1, second 50: 110 s at a hundredth.
    expect(Number(/sending (\d+\.\d) s/.exec(output)?.[1])).toBeGreaterThanOrEqual(1.1);
    expect(code).toBe(0);
  });

  it("reports a missing file or bridge", { timeout: START_MS }, async () => {
    const missing = await replay(join(dir, "nothing.csv"));
    expect([missing.code, missing.output]).toEqual([1, expect.stringContaining("nothing.csv cannot be read")]);
    const nowhere = await replay(join(dir, "invented.csv"), "--dir", join(dir, "nowhere"));
    expect([nowhere.code, nowhere.output]).toEqual([1, expect.stringMatching(/No running bridge[^]*npm run up/)]);
  });

  const day = resolve(import.meta.dirname, "../../../shared/data/sffd-calls-2017-01-01.csv");
  if (!existsSync(day))
    console.log("Skipped: the whole day of the San Francisco Fire Department. Its CSV is not beside the project.");
  it.skipIf(!existsSync(day))(
    "delivers a whole day of the San Francisco Fire Department in order and ends with the state in its file",
    { timeout: DAY_MS },
    async () => {
      const { url, simulatorUrl, tokens } = readRunning(dir);
      const client = { url, token: tokens.dispatcher };
      const unit = await busiestUnit(day);
      const before = (await newest(client))?.id ?? "0-0";
      const dashboard = await connectDashboard(simulatorUrl);
      const mdt = await connectMdt(simulatorUrl, unit, MDT_FIELD);

      const { code, output } = await replay(day);
      const accepted = number(output, "commands accepted");
      expect(accepted).toBeGreaterThan(10_000);
      expect(number(output, "confirmed") + number(output, "received")).toBe(accepted);
      expect([number(output, "order violations"), number(output, "missing at the CAD")]).toEqual([0, 0]);
      // The terminal's own positions stand beside the file's: of its unit, the CAD's last word counts.
      const differ = output.split("\n").filter((line) => line.includes("location.value is"));
      expect(differ.filter((line) => !line.includes(`unit ${unit}:`))).toEqual([]);
      expect(number(output, "differ")).toBe(differ.length);
      expect(number(output, "equal")).toBeGreaterThan(600);
      expect(code).toBe(differ.length === 0 ? 0 : 1);

      const journal = await journalAfter(client, before);
      // Of transports this CAD tells nobody: the bridge does.
      const said = journal.filter((e) => e.kind !== "event" && !e.event.startsWith("bridge:"));
      expect(new Set(said.map((e) => `${e.kind} ${e.event}`))).toEqual(new Set(["bridge transport:completed"]));
      // Everybody whom the CAD broadcasts to sees the same, in the same order.
      const broadcast = journal.filter((e) => dashboard.events.has(e.event));
      expect(broadcast.length).toBeGreaterThan(10_000);
      expect(broadcast.map(({ event, payload }) => ({ event, payload }))).toEqual(dashboard.seen);
      // Every command is there once, by its echo or by the bridge's own word; what the terminal said is nobody's.
      const own = journal.flatMap((e) => e.own_command ?? []);
      expect([own.length, new Set(own).size]).toEqual([accepted, accepted]);
      expect(said.length).toBe(number(output, "received"));
      expect(mdt.locations.length).toBeGreaterThan(5);
      const others = broadcast.filter((e) => e.own_command === null);
      expect(others.map((e) => e.payload)).toEqual(expect.arrayContaining(mdt.locations));
      expect(others).toHaveLength(mdt.locations.length + mdt.timestamps.length);

      const told = byId((await ask("GET", `${url}/units/${unit}`, client)).body);
      const last = dashboard.seen.findLast((e) => e.event === "unit:location:updated" && e.payload["unitId"] === unit);
      expect(differences(told, { "location.value": last?.payload["location"] })).toEqual([]);
      for (const { incidentId, timestamp } of mdt.timestamps) {
        const incident = byId((await ask("GET", `${url}/incidents/${String(incidentId)}`, client)).body);
        expect(differences(incident, { [`timestamps.${MDT_FIELD}.timestamp`]: timestamp })).toEqual([]);
      }
    },
  );
});
