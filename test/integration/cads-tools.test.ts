import { expect, test } from "vitest";
import { runScript } from "../../tools/setup/run-script.ts";
import { type Several, startSeveral } from "../support/several-cads.ts";

const TWO = [
  { id: "north", owns: { units: ["N*"] } },
  { id: "south", owns: { units: ["S*"] } },
];
const environmentOf = ({ redisUrl, prefix, file }: Several) => ({
  ...{ REDIS_URL: redisUrl, REDIS_PREFIX: prefix, CADS_FILE: file },
});
async function run(several: Several, script: string, ...args: string[]) {
  const running = runScript(script, args, environmentOf(several));
  const { code, output } = await running.ended;
  return { code, output, cads: [...output.matchAll(/^CAD (\w+)$/gm)].map(([, id]) => id) };
}

// One bridge for all of them: starting it takes longer than a tool.
test("audit verifies every trail and exports that of --cad; conform grades the CAD of --cad; the doctor looks at every CAD", async () => {
  const several = await startSeveral(TWO);
  await several.post("/units/status", { unit_id: "S1", status: "enroute" });
  const [verified, exported, graded] = await Promise.all([
    run(several, "tools/audit/audit.ts", "verify", "--keyless"),
    run(several, "tools/audit/audit.ts", "export", "--cad", "south"),
    run(several, "tools/conform/conform.ts", "--cad", "south", "--json"),
  ]);
  expect(verified).toMatchObject({ code: 0, cads: ["north", "south"] });
  expect(exported.output).toContain("unit:S1");
  expect(graded).toMatchObject({
    code: 0,
    output: expect.stringContaining(String(several.cads.get("south")?.url)),
  });

  await several.cads.get("south")?.stop();
  const all = await run(several, "tools/doctor/doctor.ts");
  expect(all).toMatchObject({ code: 1, cads: ["north", "south"] });
  const [, north = "", south = ""] = all.output.split(/^CAD \w+$/m);
  expect(north).toContain("the CAD accepts the token and answers");
  expect(south).toContain("cad-disconnected");
}, 120_000);
