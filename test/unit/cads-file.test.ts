import { expect, test } from "vitest";
import { ConfigError } from "../../shared/config/config.ts";
import { loadCads, parseCads } from "../../shared/cads/load.ts";

function problemsOf(text: string, prefix = "bridge"): readonly string[] {
  try {
    parseCads("CADS_FILE", text, prefix);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((problem) => problem.replace("CADS_FILE: ", ""));
    throw error;
  }
  return [];
}
const NORTH = { id: "north", urls: ["https://north.example"], token: "t", owns: { units: ["N*"] } };
const SOUTH = { id: "south", urls: ["https://south.example"], token: "t", owns: { units: ["S*"] } };
const file = (...cads: object[]) => JSON.stringify({ cads });

test("a file in YAML, with all that it may say of a CAD", () => {
  const [north, south] = parseCads(
    "CADS_FILE",
    `
cads:
  - id: north
    urls: [https://a.north.example, https://b.north.example]
    token_file: /run/secrets/north
    owns: { units: ["N*", "M12"], organisations: [north-fire] }
    redis_prefix: socket-bridge
    moved_from: old
    path: /cad/socket.io
    headers: { X-Api-Key: k }
    query: { tenant: north }
    transports: [websocket]
    tls: { ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem }
    confirm: { default: auto, "unit:status": barrier }
    routes_file: routes.yaml
    canary_unit: TEST1
  - { id: south, urls: ["https://south.example"], token_env: SOUTH_TOKEN, owns: everything }
`,
    "bridge",
  );
  expect(north).toMatchObject({ id: "north", prefix: "socket-bridge", entry: { owns: { units: ["N*", "M12"] } } });
  expect(south).toMatchObject({ id: "south", prefix: "bridge-south", entry: { owns: "everything" } });
});

test("the format of the documentation", () => {
  expect(
    parseCads(
      "CADS_FILE",
      '{ "cads": [{ "id": "n", "urls": ["https://n"], "token": "t", "owns": { "units": ["N*"] } }] }',
      "p",
    ),
  ).toHaveLength(1);
});

test.each<[wrong: string, text: string, problems: string[]]>([
  ["no YAML", "cads: [", ["line 1, column 8: is not YAML (bad indent)"]],
  ["no CAD", file(), ["line 1: cads: must hold at least one CAD"]],
  ["an unknown member", file({ ...NORTH, token_fil: "x" }), ["line 1: cads[0].token_fil: is not a known field"]],
  ["an id twice", file(NORTH, { ...SOUTH, id: "north" }), ["line 1: cads[1].id: is the id of one before it"]],
  [
    "an id that is none",
    file({ ...NORTH, id: "North 1" }),
    ["line 1: cads[0].id: must be up to 40 lower-case letters, digits and dashes, a dash not first"],
  ],
  [
    "no token",
    file({ ...NORTH, token: undefined }),
    ["line 1: cads[0]: needs exactly one of token, token_env, token_file, and has 0"],
  ],
  [
    "two tokens",
    file({ ...NORTH, token_env: "X" }),
    ["line 1: cads[0]: needs exactly one of token, token_env, token_file, and has 2"],
  ],
  [
    "the same keys in Redis",
    file({ ...NORTH, redis_prefix: "bridge-south" }, SOUTH),
    ["line 1: cads[1].redis_prefix: gives it the keys in Redis of one before it"],
  ],
  [
    "two owners of everything",
    file({ ...NORTH, owns: "everything" }, { ...SOUTH, owns: "everything" }),
    ["line 1: cads[1].owns: is everything, and so is what one before it owns: at most one CAD may"],
  ],
  ["an owner of nothing", file({ ...NORTH, owns: {} }), ["line 1: cads[0].owns: must name units or organisations"]],
  [
    "owns that says nothing",
    file({ ...NORTH, owns: "all" }),
    ["line 1: cads[0].owns: must be `everything`, or an object of units and organisations"],
  ],
  [
    "the same pattern twice",
    file(NORTH, { ...SOUTH, owns: { units: ["S*", "N*"] } }),
    ["line 1: cads[1].owns.units[1]: shares units with cads[0].owns.units[0], and neither is narrower"],
  ],
  [
    "patterns of which neither is narrower",
    file(NORTH, { ...SOUTH, owns: { units: ["*7"] } }),
    ["line 1: cads[1].owns.units[0]: shares units with cads[0].owns.units[0], and neither is narrower"],
  ],
  [
    "a prefix that is too long",
    file({ ...NORTH, id: "n".repeat(40) }),
    ["line 1: cads[0].id: makes a prefix of more than 64 characters with REDIS_PREFIX"],
  ],
])("refuses a file with %s", (wrong, text, problems) => {
  expect(problemsOf(text, wrong === "a prefix that is too long" ? "p".repeat(40) : "bridge")).toEqual(problems);
});

test("lists everything that is wrong, in the order of its lines, without a value", () => {
  const problems = problemsOf(`
cads:
  - id: north
    urls: [https://north.example]
    tokn: canary
    owns: everything
  - id: north
    urls: []
    token: canary
    owns: everything
`);
  expect(problems.map((problem) => problem.replace(/:(?= ).*/, ""))).toEqual([
    "line 3",
    "line 5",
    "line 7",
    "line 8",
    "line 10",
  ]);
  expect(problems.join("\n")).not.toContain("canary");
});

test.each([
  ["a narrower pattern", ["N*"], ["N1*"]],
  ["one unit", ["N*"], ["N7"]],
  ["patterns that share nothing", ["N*"], ["S*"]],
])("takes %s of another CAD", (_, units, others) => {
  expect(problemsOf(file({ ...NORTH, owns: { units } }, { ...SOUTH, owns: { units: others } }))).toEqual([]);
});

const missing = () => {
  throw Object.assign(new Error("/secret/path"), { code: "ENOENT" });
};

test("an unreadable file is reported without its path", () => {
  expect(() => loadCads("/secret/path", "p", missing)).toThrow(
    "CADS_FILE: the file that it names cannot be read (ENOENT)",
  );
});
