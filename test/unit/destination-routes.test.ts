import { expect, test } from "vitest";
import { ConfigError, parseConfig } from "../../shared/config/config.ts";
import { workerEnv } from "../../worker/config/worker-env.ts";
import { loadRoutes, type RoutesConfig } from "../../worker/destinations/routes.ts";
import { RETRY_S } from "../../worker/destinations/schema.ts";
import { newSecret } from "../../tools/support/receiver.ts";

const [ONE, TWO] = [newSecret(), newSecret()];

function load(text: string, more: Partial<RoutesConfig> = {}, environment: Record<string, string> = {}) {
  const files: Record<string, string> = { routes: text, "secret.txt": `${TWO}\n`, "bad.txt": "canary" };
  return loadRoutes({ ROUTES_FILE: "routes", ALLOW_PRIVATE_DESTINATIONS: false, ...more }, environment, (path) => {
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
const file = (destination: Record<string, unknown>, rule: Record<string, unknown> = {}) =>
  JSON.stringify({
    destinations: [{ id: "a", url: "https://example.org/hook", secret: ONE, ...destination }],
    rules: [{ to: "a", events: "unit:*", ...rule }],
  });

test("a routes file in YAML, with all that it may say", () => {
  const [a, b] = load(
    `
destinations:
  - id: billing
    url: https://billing.example.org/events?token=x
    secret: [${ONE}]
    secret_env: OLD_SECRET
    secret_file: secret.txt
    headers: { Authorization: Bearer abc }
    phi: true
    timeout_ms: 5000
    rate: 20
    retry_s: [1, 2.5]
  - { id: b, url: "https://b.example.org", secret: ${ONE}, phi: true }
rules:
  - to: [billing, b]
    events: [transport:*, incident:new]
    filter: payload.priority == 1
    own_echoes: false
    fields: [incidentId, patient.age]
    once: [incidentId]
  - { to: b, events: "*" }
`,
    {},
    { OLD_SECRET: TWO },
  );
  expect(a).toMatchObject({
    id: "billing",
    secrets: [ONE, TWO, TWO],
    headers: { Authorization: "Bearer abc" },
    timeoutMs: 5000,
    rate: 20,
    retryMs: [1000, 2500],
    rules: [
      {
        events: ["transport:*", "incident:new"],
        ownEchoes: false,
        fields: ["incidentId", "patient.age"],
        once: ["incidentId"],
      },
    ],
  });
  expect(b).toMatchObject({ timeoutMs: 10_000, rate: undefined, rules: [{}, { ownEchoes: true }] });
});

test("the waits between attempts go from 5 s to 10 h, over about a day", () => {
  expect(RETRY_S[0]).toBe(5);
  expect(RETRY_S.at(-1)).toBe(36_000);
  const hours = RETRY_S.reduce((sum, s) => sum + s, 0) / 3600;
  expect(hours).toBeGreaterThan(20);
  expect(hours).toBeLessThan(28);
});

test.each<[what: string, text: string, problem: RegExp]>([
  ["no YAML", "a: [1,", /^ROUTES_FILE: line 1, column \d+: is not YAML/],
  ["nothing that it should have", "{}", /^ROUTES_FILE: line 1: destinations: /],
  ["no object", "7", /^ROUTES_FILE: line 1: \(the file\): /],
  ["the same key twice", "destinations: []\ndestinations: []\nrules: []", /^ROUTES_FILE: line 2/],
  ["an id that is none", file({ id: "A b" }), /^ROUTES_FILE: line 1: destinations\[0\]\.id: must be up to 40/],
  ["a URL that is none", file({ url: "billing" }), /destinations\[0\]\.url: must be an http/],
  ["another scheme", file({ url: "ftp://example.org" }), /destinations\[0\]\.url: must be an http/],
  ["plain http", file({ url: "http://example.org" }), /destinations\[0\]\.url: must be https/],
  ["a password in the URL", file({ url: "https://u:canary@example.org" }), /url: must not hold user or password/],
  ["a private address", file({ url: "https://10.0.0.1/" }), /destinations\[0\]\.url: is a private or reserved/],
  [
    "a private address in hex",
    file({ url: "https://0x7f000001/" }),
    /destinations\[0\]\.url: is a private or reserved/,
  ],
  ["a mapped address", file({ url: "https://[::ffff:10.0.0.1]/" }), /destinations\[0\]\.url: is a private or reserved/],
  ["a short secret", file({ secret: "whsec_Y2FuYXJ5" }), /destinations\[0\]\.secret: must be whsec_/],
  ["a secret without its prefix", file({ secret: [ONE, "canary"] }), /destinations\[0\]\.secret\[1\]: must be whsec_/],
  ["no secret", file({ secret: undefined }), /destinations\[0\]: has none of secret, secret_env and secret_file/],
  ["a secret in no variable", file({ secret_env: "NOPE" }), /destinations\[0\]\.secret_env: NOPE is not set/],
  [
    "a secret in no file",
    file({ secret_file: "nope" }),
    /secret_file: the file that it names cannot be read \(ENOENT\)/,
  ],
  ["a file without a secret", file({ secret_file: "bad.txt" }), /secret_file: names something that is no secret/],
  ["a header of HTTP", file({ headers: { "content-length": "1" } }), /headers\.content-length: is a header that/],
  ["a signature of one's own", file({ headers: { "Webhook-Signature": "x" } }), /Webhook-Signature: is a header that/],
  ["a line break in a header", file({ headers: { X: "a\r\nb: c" } }), /headers\.X: must be printable/],
  ["a timeout without a bound", file({ timeout_ms: 1e9 }), /destinations\[0\]\.timeout_ms: Too big/],
  ["a rate of nothing", file({ rate: 0 }), /destinations\[0\]\.rate: Too small/],
  ["a field that is not known", file({ retries: 5 }), /destinations\[0\]\.retries: is not a known field/],
  ["a rule to nobody", file({}, { to: "nobody" }), /rules\[0\]\.to: names "nobody", which is no destination/],
  ["a filter that cannot be read", file({}, { filter: "payload.x +" }), /rules\[0\]\.filter: cannot work as a filter/],
  ["a filter that says a number", file({}, { filter: "1 + 1" }), /rules\[0\]\.filter: cannot work.*not true or false/],
  ["a path that is none", file({}, { fields: ["a..b"] }), /rules\[0\]\.fields\[0\]: must be names of fields/],
  [
    "a path into the prototype",
    file({}, { once: ["__proto__.x"] }),
    /rules\[0\]\.once\[0\]: is not the name of a field/,
  ],
  ["an event that is none", file({}, { events: ["unit status"] }), /rules\[0\]\.events\[0\]: must be the name/],
])("a file with %s is refused with the place", (_what, text, problem) => {
  const problems = problemsOf(text);
  expect(problems.join("\n")).toMatch(problem);
  expect(problems.join("\n")).not.toMatch(/canary|whsec_[A-Za-z0-9]/);
});

test("every error is listed at once", () => {
  const text = file({ id: "A", url: "x", timeout_ms: 1, secret: "x" }, { events: [], filter: "1 +", own_echoes: 1 });
  expect(problemsOf(text)).toHaveLength(8);
});

const WRONG = {
  destinations: [
    { id: "a", url: "https://example.org/hook", secret_env: "NOPE" },
    { id: "b", url: "https://example.org/hook" },
    { id: "c", url: "ftp://example.org/hook", secret: ONE },
  ],
  rules: [
    { to: ["a", "nobody"], events: ["unit:*", "unit:stauts"] },
    { to: "b", events: "unit:*", filter: "payload.x +" },
    { to: "b", events: "shift:changed" },
  ],
};
const YAML = `# Where events go.
destinations:
  - id: a
    url: https://example.org/hook
    secret_env: NOPE
  - id: b
    url: https://example.org/hook
  - id: c
    url: ftp://example.org/hook
    secret: ${ONE}
rules:
  - to: [a, nobody]
    events:
      - unit:*
      - unit:stauts
  - to: b
    events: unit:*
    filter: payload.x +
  - { to: b, events: "shift:changed" }
`;

test.each([
  ["YAML", YAML, [5, 6, 9, 12, 15, 18, 19]],
  ["JSON", JSON.stringify(WRONG, null, 1), [6, 8, 14, 20, 26, 32, 36]],
])("one message lists every mistake of a file in %s with its line", (_form, text, lines) => {
  const found = problemsOf(text);
  expect(found.map((problem) => problem.replace(/^ROUTES_FILE: line \d+: /, ""))).toEqual([
    "destinations[0].secret_env: NOPE is not set",
    "destinations[1]: has none of secret, secret_env and secret_file",
    "destinations[2].url: must be an http:// or https:// URL",
    'rules[0].to: names "nobody", which is no destination of this file',
    expect.stringMatching(/^rules\[0\]\.events\[1\]: names "unit:stauts", which is no event/),
    expect.stringMatching(/^rules\[1\]\.filter: cannot work as a filter/),
    expect.stringMatching(/^rules\[2\]\.events.*: names "shift:changed", which is no event/),
  ]);
  expect(found.map((problem) => Number(/line (\d+)/.exec(problem)?.[1]))).toEqual(lines);
});

test("an event of the CAD that the bridge does not know may be named if the file lists it", () => {
  const rules = { ...JSON.parse(file({ phi: true }, { events: "shift:changed" })), other_events: ["shift:changed"] };
  expect(load(JSON.stringify(rules))).toMatchObject([{ rules: [{ at: "rules[0]", events: ["shift:changed"] }] }]);
});

test.each<[what: string, rule: Record<string, unknown>, refused: boolean]>([
  ["an event without such fields", { events: "unit:*" }, false],
  ["a whole event that may hold PHI", { events: "incident:new" }, true],
  ["any event", { events: "*" }, true],
  ["fields that hold none", { events: "incident:new", fields: ["incidentId", "id", "priority"] }, false],
  ["a field that may hold PHI", { events: "incident:new", fields: ["incidentId", "address"] }, true],
  ["a field inside of one", { events: "transport:completed", fields: ["destination.name"] }, true],
  ["an id inside of an object", { events: "assignment:received", fields: ["incident.incidentId"] }, false],
  ["an object with such a field", { events: "assignment:received", fields: ["incident"] }, true],
  ["a field that nobody declared", { events: "unit:*", fields: ["crew"] }, true],
])("a destination that is not cleared for PHI may not be sent %s: %j, %s", (_what, rule, refused) => {
  const wanted = refused
    ? [
        expect.stringMatching(
          /^ROUTES_FILE: line 1: rules\[0\]: may send PHI \(.*\) to "a", .*\(phi-not-cleared\): list fields/,
        ),
      ]
    : [];
  expect(problemsOf(file({}, rule))).toEqual(wanted);
  expect(problemsOf(file({ phi: true }, rule))).toEqual([]);
});

test("two destinations of one id are refused, also where one comes from the variables", () => {
  const one = { id: "billing", url: "https://example.org", secret: ONE };
  const twice = JSON.stringify({ destinations: [one, one], rules: [] });
  expect(problemsOf(twice)).toEqual(["ROUTES_FILE: line 1: destinations[1].id: is the id of one before it"]);
  const once = JSON.stringify({ destinations: [one], rules: [] });
  const variables = { BILLING_API_URL: "https://example.org", BILLING_WEBHOOK_SECRET: [ONE] };
  expect(problemsOf(once, variables)).toEqual(['BILLING_API_URL: is set, and the routes file has "billing" as well']);
});

test("URL and secret alone give the default rules", () => {
  const destinations = load("", {
    ROUTES_FILE: undefined,
    BILLING_API_URL: "https://billing.example.org/",
    BILLING_WEBHOOK_SECRET: [ONE, TWO],
    EPCR_API_URL: "https://epcr.example.org/",
    EPCR_WEBHOOK_SECRET: [ONE],
  });
  expect(destinations).toMatchObject([
    {
      id: "billing",
      secrets: [ONE, TWO],
      rules: [
        {
          events: ["transport:completed"],
          fields: expect.arrayContaining(["billingData"]),
          once: ["incidentId", "epcrId"],
        },
        { events: ["incident:status:updated"], once: ["incidentId"] },
      ],
    },
    { id: "epcr", rules: [{ events: ["incident:new", "transport:completed", "incident:timestamp:updated"] }] },
  ]);
});

test("a private address in a variable is refused by the variable's name", () => {
  const config = { ROUTES_FILE: undefined, EPCR_API_URL: "https://10.0.0.1/", EPCR_WEBHOOK_SECRET: [ONE] };
  expect(problemsOf("", config)).toEqual([
    "EPCR_API_URL: is a private or reserved address; that takes ALLOW_PRIVATE_DESTINATIONS=true",
  ]);
});

test("the variables are refused one without the other, and with a secret of another form; two secrets are taken", () => {
  const base = { REDIS_URL: "redis://x", CAD_BACKEND_URL: "http://x", CAD_BACKEND_AUTH_TOKEN: "x" };
  const parse = (env: Record<string, string>) => parseConfig(workerEnv, { ...base, ...env });
  expect(() => parse({ BILLING_API_URL: "https://x.org" })).toThrow(
    /BILLING_API_URL: has no effect without BILLING_WEBHOOK_SECRET/,
  );
  expect(() => parse({ EPCR_WEBHOOK_SECRET: ONE })).toThrow(/EPCR_WEBHOOK_SECRET: has no effect without EPCR_API_URL/);
  const wrong = { EPCR_API_URL: "https://x.org", EPCR_WEBHOOK_SECRET: "canary" };
  expect(() => parse(wrong)).toThrow(/EPCR_WEBHOOK_SECRET: must be whsec_/);
  const { EPCR_WEBHOOK_SECRET: both } = parse({ ...wrong, EPCR_WEBHOOK_SECRET: ` ${ONE}, ${TWO}\n` });
  expect(both).toEqual([ONE, TWO]);
});
