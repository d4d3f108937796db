import { existsSync, readFileSync } from "node:fs";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Ajv } from "ajv";
import { expect, test } from "vitest";

const security = readFileSync("docs/security.md", "utf8");
/** The cells of every table row that names a test. */
const rows = security.split("\n").filter((line) => line.startsWith("| V") || line.startsWith("| API"));

test("docs/security.md maps every chapter of ASVS 5.0 and every point of the API Security Top 10, each with tests that exist", () => {
  const names = rows.map((row) => row.split("|")[1]?.trim().split(" ")[0]);
  const chapters = Array.from({ length: 17 }, (_, n) => `V${n + 1}`);
  const risks = Array.from({ length: 10 }, (_, n) => `API${n + 1}`);
  expect(names).toEqual([...chapters, ...risks]);
  for (const row of rows) {
    const shown = row.split("|")[3] ?? "";
    const tests = [...shown.matchAll(/(?:unit|integration)\/[\w-]+/g)].map(([name]) => name);
    if (/not applicable/i.test(row)) continue;
    expect(tests, row).not.toEqual([]);
    for (const name of tests) expect([name, existsSync(`test/${name}.test.ts`)]).toEqual([name, true]);
  }
});

test("docs/security.md draws the data flows with their trust boundaries", () => {
  const [, diagram = ""] = /```mermaid\n(flowchart [\s\S]*?)```/.exec(security) ?? [];
  expect([...diagram.matchAll(/subgraph (\w+)/g)].length).toBeGreaterThanOrEqual(4);
  for (const part of ["functions", "worker", "redis", "cad", "destination"]) expect(diagram).toContain(part);
});

/** What matters of the CycloneDX 1.5 schema: https://cyclonedx.org/schema/bom-1.5.schema.json */
const BOM = {
  type: "object",
  required: ["bomFormat", "specVersion", "serialNumber", "version", "metadata", "components", "dependencies"],
  properties: {
    bomFormat: { const: "CycloneDX" },
    specVersion: { enum: ["1.5", "1.6"] },
    serialNumber: { type: "string", pattern: "^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$" },
    version: { type: "integer", minimum: 1 },
    components: {
      type: "array",
      minItems: 20,
      items: {
        type: "object",
        required: ["bom-ref", "type", "name", "version", "purl", "hashes"],
        properties: {
          type: { const: "library" },
          purl: { type: "string", pattern: "^pkg:npm/" },
          hashes: { type: "array", minItems: 1 },
        },
      },
    },
    dependencies: { type: "array", items: { type: "object", required: ["ref"] } },
  },
};

test("npm run sbom prints a CycloneDX document of every package, without the network", async () => {
  const offline = { ...process.env, npm_config_offline: "true", npm_config_registry: "http://127.0.0.1:9/" };
  const { stdout } = await promisify(execFile)("npm", ["run", "-s", "sbom"], { env: offline, maxBuffer: 10_000_000 });
  const bom = JSON.parse(stdout) as {
    components: { name: string; version: string; "bom-ref": string; properties?: { name: string }[] }[];
  };
  const valid = new Ajv({ strict: false }).compile(BOM);
  expect([valid(bom), valid.errors]).toEqual([true, null]);
  const manifest = JSON.parse(readFileSync("package.json", "utf8")) as {
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };
  const listed = new Set(bom.components.map((one) => one["bom-ref"]));
  for (const [name, version] of Object.entries(manifest.dependencies)) expect(listed).toContain(`${name}@${version}`);
  // With --omit dev npm leaves out yaml as well, which a tool uses too: so all are listed, and what does not ship is marked.
  const development = bom.components.filter(({ properties }) =>
    properties?.some(({ name }) => name === "cdx:npm:package:development"),
  );
  const marked = new Set(development.map((one) => one["bom-ref"]));
  const shipping = Object.entries(manifest.dependencies).map(([name, version]) => `${name}@${version}`);
  expect(shipping.filter((ref) => marked.has(ref))).toEqual([]);
  expect(marked.has(`vitest@${manifest.devDependencies["vitest"]}`)).toBe(true);
  expect(new Set(bom.components.map((one) => one["bom-ref"])).size).toBe(bom.components.length);
});
