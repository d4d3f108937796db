import { expect, test } from "vitest";
import { ConfigError } from "../../shared/config/config.ts";
import { loadFleet } from "../../worker/fleet/load.ts";

const ENVIRONMENT = { REDIS_URL: "redis://127.0.0.1:6379", REDIS_PREFIX: "bridge", SOUTH_TOKEN: "s" };

function load(text: string, environment: Record<string, string> = {}) {
  const files: Record<string, string> = { cads: text, "token.txt": "from the file\n", "empty.txt": "" };
  return loadFleet({ CADS_FILE: "cads", REDIS_PREFIX: "bridge" }, { ...ENVIRONMENT, ...environment }, (path) => {
    const found = files[path];
    if (found === undefined) throw Object.assign(new Error(path), { code: "ENOENT" });
    return found;
  });
}
function problemsOf(...given: Parameters<typeof load>): readonly string[] {
  try {
    load(...given);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}
const one = (more: string) => `cads:
  - id: north
    owns: everything
${more
  .split("\n")
  .map((line) => `    ${line}`)
  .join("\n")}
`;
const URLS = "urls: [https://a.example, https://b.example]";

test("each CAD has the configuration of a single one, with what the file says in place of what the environment does", () => {
  const [north, south] = load(
    `
cads:
  - id: north
    urls: [https://a.example/ns, https://b.example/ns]
    token_file: token.txt
    owns: { units: ["N*"] }
    path: /cad/socket.io
    headers: { X-Api-Key: k }
    query: { tenant: a b }
    transports: [websocket]
    confirm: { default: ack, "unit:status": barrier }
    canary_unit: TEST1
  - { id: south, urls: ["https://south.example"], token_env: SOUTH_TOKEN, owns: everything, redis_prefix: old }
`,
    { CAD_CONFIRM: "echo", CAD_CONFIRM_TIMEOUT_MS: "1234" },
  );
  expect(north?.config).toMatchObject({
    REDIS_PREFIX: "bridge-north",
    CAD_ID: "north",
    CAD_BACKEND_URL: "https://a.example/ns",
    CAD_MORE_URLS: ["https://b.example/ns"],
    CAD_BACKEND_AUTH_TOKEN: "from the file",
    secretFiles: { CAD_BACKEND_AUTH_TOKEN: "token.txt" },
    CAD_SOCKET_PATH: "/cad/socket.io",
    CAD_HEADERS: { "X-Api-Key": "k" },
    CAD_QUERY: { tenant: "a b" },
    CAD_TRANSPORTS: ["websocket"],
    CAD_CONFIRM: "ack,unit:status=barrier",
    CANARY_UNIT: "TEST1",
    CAD_CONFIRM_TIMEOUT_MS: 1234,
  });
  expect(south?.config).toMatchObject({
    REDIS_PREFIX: "old",
    CAD_ID: "south",
    CAD_BACKEND_AUTH_TOKEN: "s",
    CAD_CONFIRM: "echo",
  });
  expect(south?.config.CAD_MORE_URLS).toBeUndefined();
});

test.each<[wrong: string, text: string, problem: RegExp]>([
  [
    "a URL that is none",
    one("urls: [nonsense]\ntoken: t"),
    /^CADS_FILE: line 4: cads\[0\]\.urls\[0\]: must be an http/,
  ],
  [
    "a URL with a password",
    one("urls: [https://u:p@a.example]\ntoken: t"),
    /line 4: cads\[0\]\.urls\[0\]: must not contain user or password/,
  ],
  [
    "a further URL that is none",
    one("urls: [https://a.example, 'ftp://b']\ntoken: t"),
    /line 4: cads\[0\]\.urls: must be an http/,
  ],
  [
    "a token file that is not there",
    one(`${URLS}\ntoken_file: gone.txt`),
    /line 5: cads\[0\]\.token_file: the file that it names cannot be read \(ENOENT\)$/,
  ],
  [
    "an empty token file",
    one(`${URLS}\ntoken_file: empty.txt`),
    /line 5: cads\[0\]\.token_file: the file that it names is empty$/,
  ],
  ["a variable that is not set", one(`${URLS}\ntoken_env: NORTH_TOKEN`), /line 5: cads\[0\]\.token_env: is not set$/],
  ["a path that is none", one(`${URLS}\ntoken: t\npath: here`), /line 6: cads\[0\]\.path: must be a path/],
  [
    "a header of the connection",
    one(`${URLS}\ntoken: t\nheaders: { Upgrade: x }`),
    /line 6: cads\[0\]\.headers: holds a header/,
  ],
  ["a query of Engine.IO", one(`${URLS}\ntoken: t\nquery: { sid: x }`), /line 6: cads\[0\]\.query: must not hold/],
  ["a transport that there is not", one(`${URLS}\ntoken: t\ntransports: [pigeon]`), /line 6: cads\[0\]\.transports: /],
  ["a mode that there is not", one(`${URLS}\ntoken: t\nconfirm: hope`), /line 6: cads\[0\]\.confirm: /],
  [
    "a certificate without a key",
    one(`${URLS}\ntoken: t\ntls: { cert_file: gone.pem }`),
    /line 6: cads\[0\]\.tls\.cert_file: /,
  ],
  [
    "a routes file that is not there",
    one(`${URLS}\ntoken: t\nroutes_file: gone.yaml`),
    /line 6: cads\[0\]\.routes_file: the file that it names cannot be read/,
  ],
])("refuses %s, at its line", (_, text, problem) => {
  expect(problemsOf(text).join("\n")).toMatch(problem);
});

test("lists what is wrong with every CAD, whatever is wrong with another one", () => {
  const problems = problemsOf(`
cads:
  - { id: a, urls: [nonsense], token: t, owns: { units: [A] } }
  - { id: b, urls: ["https://b"], token: t, owns: { units: [B] }, colour: red }
  - { id: c, urls: ["https://c"], token_env: NOT_SET, owns: { units: [C] } }
`);
  expect(problems.map((problem) => problem.replace(/(\]\.\w+).*/, "$1"))).toEqual([
    "CADS_FILE: line 3: cads[0].urls",
    "CADS_FILE: line 4: cads[1].colour",
    "CADS_FILE: line 5: cads[2].token_env",
  ]);
});

test.each(["CAD_BACKEND_URL", "CAD_BACKEND_AUTH_TOKEN", "CAD_ID", "CANARY_UNIT", "HEARTBEAT_URL"])(
  "refuses %s beside the file: it is one CAD's own",
  (name) => {
    expect(problemsOf(one(`${URLS}\ntoken: t`), { [name]: "x" })).toContain(
      `${name}: is set, and so is CADS_FILE: what is one CAD's own stands in the file`,
    );
  },
);
