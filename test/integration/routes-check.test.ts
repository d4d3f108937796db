import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { expect, inject, test } from "vitest";
import { createSealer, payloadKeys } from "../../shared/sealing/seal.ts";
import { newSecret } from "../../tools/support/receiver.ts";
import { writeRoutes } from "../support/destinations.ts";
import { ownJournal } from "../support/own-journal.ts";
import { freshPrefix } from "../support/redis.ts";

const run = promisify(execFile);
const KEYS = `one:${Buffer.alloc(32, 9).toString("base64")}`;

async function check(env: Record<string, string>, ...args: string[]) {
  const all = { PATH: process.env["PATH"] ?? "", REDIS_URL: inject("redisUrl"), ...env };
  const script = ["tools/routes/routes.ts", "check", ...args];
  return await run(process.execPath, script, { env: all, timeout: 90_000 }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  );
}
const board = { id: "board", url: "https://board.example.org", secret: newSecret(), phi: true };

test(
  "npm run routes -- check shows what another file would make of the events of the last hours",
  { timeout: 120_000 },
  async () => {
    const prefix = freshPrefix();
    const sealer = createSealer(payloadKeys.parse(KEYS), "refuse");
    const journal = await ownJournal(prefix, { sealer });
    const [first, second, third] = await journal.write(
      { payload: { unitId: "M12", status: "the canary", at: 1 } },
      { payload: { unitId: "M13", status: "hospital", at: 2 }, keys: ["unit:M13"] },
      { event: "unit:location:updated", payload: { unitId: "M12" } },
    );
    const before = writeRoutes({ destinations: [board], rules: [{ to: "board", events: "unit:status:updated" }] });
    const after = writeRoutes({
      destinations: [board, { ...board, id: "map" }],
      rules: [
        { to: "board", events: "unit:status:updated", filter: 'payload.status == "hospital"', fields: ["unitId"] },
        { to: "map", events: "unit:location:updated" },
      ],
    });
    const env = { REDIS_PREFIX: prefix, PAYLOAD_KEYS: KEYS, ROUTES_FILE: before };
    const said = await check(env, after, "--json");
    expect(said).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(said.stdout)).toEqual({
      ...{ file: after, mistakes: [], hours: 24, looked: 3, first: first?.id, last: third?.id },
      differences: [
        {
          ...{ destination: "board", event: "unit:status:updated", before: 2, after: 1, filterErrors: 0 },
          ...{ added: [], removed: [first?.id], otherFields: [second?.id] },
        },
        {
          ...{ destination: "map", event: "unit:location:updated", before: 0, after: 1, filterErrors: 0 },
          ...{ added: [third?.id], removed: [], otherFields: [] },
        },
      ],
    });
    const text = await check(env, after);
    expect(text.stdout).toMatch(/^board {8}unit:status:updated {9}2 {6}1$/m);
    expect(text.stdout).toContain(`sent only by the current routes, such as ${first?.id}`);
    expect(said.stdout + text.stdout).not.toContain("canary");
  },
);

test(
  "npm run routes -- check lists every mistake with its line, and says by its exit code what was wrong",
  { timeout: 120_000 },
  async () => {
    const file = writeRoutes({ destinations: [], rules: [] });
    writeFileSync(
      file,
      "destinations:\n  - { id: a, url: nowhere, phi: true }\nrules:\n  - to: b\n    events: unit:*\n    filter: 1 +\n",
    );
    const [wrong, usage, away] = await Promise.all([
      check({}, file),
      check({}, file, "--hours", "0"),
      check({ REDIS_URL: "redis://127.0.0.1:1" }, writeRoutes({ destinations: [board], rules: [] })),
    ]);
    expect(wrong.code).toBe(78);
    const lines = wrong.stdout.split("\n");
    expect(lines.filter((line) => line.startsWith(`${file}: line 2: destinations[0]`))).toHaveLength(2);
    expect(wrong.stdout).toMatch(/: line 4: rules\[0\]\.to: names "b"/);
    expect(wrong.stdout).toMatch(/: line 6: rules\[0\]\.filter: cannot work as a filter/);
    expect(usage).toMatchObject({ code: 2, stderr: expect.stringContaining("--hours must be") });
    expect(away).toMatchObject({ code: 1, stderr: expect.stringContaining("The journal cannot be read") });
  },
);
