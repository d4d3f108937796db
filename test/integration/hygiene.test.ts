import { describe, expect, test } from "vitest";
import { type Asked, type Bridge, startBridge, tokens } from "../support/bridge.ts";

const functionsOnly = (functions?: Record<string, string>) =>
  startBridge({ worker: false, ...(functions && { functions }) });
const unsettled = async (bridge: Bridge) =>
  ((await bridge.get("/status")).body["backlog"] as { unsettled: number }).unsettled;

const nested = (depth: number) => `${"[".repeat(depth)}1${"]".repeat(depth)}`;
const metrics = (inner: string) => `{"metrics":{"a":${inner}}}`;
const bytes = (...parts: (string | number[])[]) =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.from(part))));

/** Bodies that a reader would misunderstand, or be hurt by, and where the fault is told; "" of the whole body. */
const UNSAFE: [what: string, body: string, pointer: string][] = [
  ["a name twice", '{"metrics":{"a":1,"a":2}}', "/metrics/a"],
  ["a name twice, once escaped", '{"metrics":{"a":1,"\\u0061":1}}', "/metrics/a"],
  ["the same field twice", '{"metrics":{"a":1},"metrics":{"a":2}}', "/metrics"],
  ["__proto__", '{"__proto__":{"role":"admin"},"metrics":{"a":1}}', "/__proto__"],
  ["__proto__, escaped and deep", metrics('[{"\\u005f_proto__":{"x":1}}]'), "/metrics/a/0/__proto__"],
  ["constructor", metrics('{"constructor":{"prototype":{"x":1}}}'), "/metrics/a/constructor"],
  ["nesting beyond 32", metrics(nested(40)), `/metrics/a${"/0".repeat(30)}`],
  ["nesting as deep as a body can hold", metrics(nested(100_000)), `/metrics/a${"/0".repeat(30)}`],
  ["a number beyond a double", metrics("1e999"), "/metrics/a"],
  ["a negative number beyond a double", metrics("-1e999"), "/metrics/a"],
  ["an integer beyond 2^53", metrics("9007199254740993"), "/metrics/a"],
  ["an integer of a hundred digits", metrics("9".repeat(100)), "/metrics/a"],
  ["a number that would become 0", metrics("1e-400"), "/metrics/a"],
  ["half of a surrogate pair", metrics('"\\ud83d"'), "/metrics/a"],
  ["the other half, as a name", '{"metrics":{"\\ude91":1}}', "/metrics/\ufffd"],
  ["NUL", metrics('"a\\u0000b"'), "/metrics/a"],
  ["an escape character", metrics('"\\u001b[2J"'), "/metrics/a"],
  ["DEL and C1", metrics('"\\u007f\\u0085"'), "/metrics/a"],
];

const NOT_JSON: [what: string, body: string | Buffer][] = [
  ["a byte order mark", bytes([0xef, 0xbb, 0xbf], metrics("1"))],
  ["overlong UTF-8", bytes('{"metrics":{"a":"', [0xc0, 0xaf], '"}}')],
  ["a surrogate in UTF-8", bytes('{"metrics":{"a":"', [0xed, 0xa0, 0x80], '"}}')],
  ["UTF-16", Buffer.from(metrics("1"), "utf16le")],
  ["Latin-1", Buffer.from(metrics('"\u00e9"'), "latin1")],
  ["a raw control character", '{"metrics":{"a":"x\u0001y"}}'],
  ["a raw NUL", '{"metrics":{"a":"x\u0000y"}}'],
  ["NaN", metrics("NaN")],
  ["Infinity", metrics("-Infinity")],
  ["a hexadecimal number", metrics("0x10")],
  ["a trailing comma", '{"metrics":{"a":1,}}'],
  ["a comment", '{"metrics":{"a":1}} // x'],
  ["two values", '{"metrics":{"a":1}}{}'],
  ["nothing but white space", "  \n"],
];

/** Every POST that takes a body, or gets one all the same. */
const POSTS = ["/metrics/broadcast", "/dead-letters/redrive", "/dead-letters/none/redrive", "/reconnect"];

async function post(bridge: Bridge, path: string, body: string | Buffer): Promise<Asked> {
  const headers = { Authorization: `Bearer ${tokens.admin}`, "Content-Type": "application/json" };
  const init = { method: "POST", headers, body: typeof body === "string" ? body : new Uint8Array(body) };
  const response = await fetch(`${bridge.url}${path}`, init);
  const answer = (await response.json()) as Record<string, unknown>;
  return { status: response.status, headers: response.headers, body: answer };
}

describe("request bodies", () => {
  test("what readers of JSON take differently is refused with the place where it is, on every POST, and changes nothing", async () => {
    const bridge = await functionsOnly();
    for (const path of POSTS) {
      for (const [what, body, pointer] of UNSAFE) {
        const answer = await post(bridge, path, body);
        expect(answer.body, `${path}: ${what}`).toMatchObject({ status: 400, code: "unsafe-json" });
        expect((answer.body["errors"] as { pointer: string }[])[0]?.pointer, `${path}: ${what}`).toBe(pointer);
        expect(answer.status).toBe(400);
      }
    }
    expect(await unsettled(bridge)).toBe(0);
    expect(({} as Record<string, unknown>)["role"]).toBeUndefined();
  });

  test("what is no JSON in UTF-8 is refused, on every POST, and changes nothing", async () => {
    const bridge = await functionsOnly();
    for (const path of POSTS) {
      for (const [what, body] of NOT_JSON) {
        const answer = await post(bridge, path, body);
        expect(answer.body, `${path}: ${what}`).toMatchObject({ status: 400, code: "not-json" });
      }
    }
    expect(await unsettled(bridge)).toBe(0);
  });

  test("what is sound is taken as it is, however odd it looks", async () => {
    const bridge = await functionsOnly();
    const odd = [
      metrics(nested(30)),
      metrics('"line one\\nline two\\ttab"'),
      metrics('"\\ud83d\\ude91 \u{1F691} \u200b \ufffd \u2028"'),
      metrics("9007199254740991"),
      metrics("1.7976931348623157e308").replace("e308", ""),
      metrics('["a","a",{"a":1},{"a":1}]'),
      metrics('"{\\"a\\":1,\\"a\\":2}"'),
      ` \r\n\t${metrics("-0.0e-7")}\n`,
      '{"metrics":{"":1,"proto":2,"toString":3,"hasOwnProperty":4}}',
    ];
    for (const body of odd) expect((await post(bridge, "/metrics/broadcast", body)).status, body).toBe(202);
  });

  test("MAX_BODY_BYTES bounds every POST", async () => {
    const bridge = await functionsOnly({ MAX_BODY_BYTES: "2000" });
    for (const path of POSTS) {
      const answer = await post(bridge, path, metrics(`"${"x".repeat(2000)}"`));
      expect(answer.body, path).toMatchObject({
        status: 413,
        code: "too-large",
        detail: expect.stringContaining("2000"),
      });
    }
    expect((await post(bridge, "/metrics/broadcast", metrics("1"))).status).toBe(202);
  });
});

const ask = (bridge: Bridge, path: string, init: RequestInit) =>
  fetch(`${bridge.url}${path}`, {
    ...init,
    headers: {
      Authorization: `Bearer ${tokens.admin}`,
      "Content-Type": "application/json",
      ...(init.headers as Record<string, string> | undefined),
    },
  });

describe("response headers", () => {
  const ANSWERS: [what: string, status: number, path: string, init: RequestInit][] = [
    ["a command", 202, "/units/status", { method: "POST", body: '{"unit_id":"M1","status":"enroute"}' }],
    ["a refusal of the body", 400, "/units/status", { method: "POST", body: "{" }],
    ["a refusal of the token", 401, "/status", { headers: { Authorization: "Bearer x" } }],
    ["a path that is not there", 404, "/nothing", {}],
    ["a path outside of the API", 404, "/../../elsewhere", {}],
    ["another method", 405, "/health", { method: "PUT" }],
    ["a preflight, where CORS is off", 405, "/units/status", { method: "OPTIONS" }],
    ["health without a worker", 503, "/health", {}],
    ["the status", 200, "/status", {}],
  ];
  test("every answer has what keeps a browser from misusing it, is kept by no cache, and names its request", async () => {
    const bridge = await functionsOnly();
    for (const [what, status, path, init] of ANSWERS) {
      const { headers, ...answer } = await ask(bridge, path, init).then((r) => ({
        status: r.status,
        headers: r.headers,
      }));
      expect(answer.status, what).toBe(status);
      expect(Object.fromEntries(headers), what).toMatchObject({
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "strict-transport-security": expect.stringMatching(/^max-age=\d{8}/),
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
        "x-request-id": expect.stringMatching(/^[\w-]{36}$/),
      });
      expect(headers.has("access-control-allow-origin"), what).toBe(false);
      expect(headers.has("x-powered-by")).toBe(false);
    }
  });

  test("an X-Request-Id that is well-formed comes back, and any other gives way to a new one", async () => {
    const bridge = await functionsOnly();
    const idOf = async (id: string) =>
      (await bridge.get("/health", { "X-Request-Id": id })).headers.get("X-Request-Id");
    expect(await idOf("01JD-trace_7=")).toBe("01JD-trace_7=");
    expect(await idOf("x".repeat(128))).toBe("x".repeat(128));
    for (const bad of ["x".repeat(129), "a b", "<script>", '"', "a,b"])
      expect(await idOf(bad), bad).toMatch(/^[\w-]{36}$/);
  });

  test("the docs may be kept by a cache, and say for themselves what they load", async () => {
    const bridge = await functionsOnly();
    for (const path of ["/docs", "/docs/start.js", "/docs/swagger-ui.css", "/openapi.json", "/asyncapi.json"]) {
      const { headers } = await fetch(`${bridge.url}${path}`);
      expect(headers.get("cache-control"), path).toBe("public, max-age=3600");
      expect(headers.get("x-content-type-options"), path).toBe("nosniff");
    }
    const csp = (await fetch(`${bridge.url}/docs`)).headers.get("content-security-policy");
    expect(csp).toMatch(/^default-src 'none'; script-src 'self';.*frame-ancestors 'none'$/);
  });
});

const FRIEND = "https://dispatch.example";
const preflight = (bridge: Bridge, origin: string) =>
  fetch(`${bridge.url}/units/status`, {
    method: "OPTIONS",
    headers: {
      Origin: origin,
      "Access-Control-Request-Method": "POST",
      "Access-Control-Request-Headers": "authorization",
    },
  });

describe("CORS", () => {
  test("lets in the pages of CORS_ORIGINS and no others, refusals included", async () => {
    const bridge = await functionsOnly({ CORS_ORIGINS: `${FRIEND}, https://two.example:8443` });
    const asked = await preflight(bridge, FRIEND);
    expect(asked.status).toBe(204);
    expect(asked.headers.get("access-control-allow-origin")).toBe(FRIEND);
    expect(asked.headers.get("access-control-allow-headers")).toMatch(/Authorization.*Idempotency-Key/);
    expect(asked.headers.get("access-control-allow-credentials")).toBeNull();
    for (const stranger of ["https://evil.example", `${FRIEND}.evil.example`, "null", "http://dispatch.example"])
      expect((await preflight(bridge, stranger)).headers.get("access-control-allow-origin"), stranger).toBeNull();
    const refused = await bridge.get("/status", { Authorization: "", Origin: FRIEND });
    expect(refused.status).toBe(401);
    expect(refused.headers.get("access-control-allow-origin")).toBe(FRIEND);
    expect(refused.headers.get("access-control-expose-headers")).toContain("RateLimit");
    expect(refused.headers.get("vary")).toContain("Origin");
    expect(
      (await bridge.get("/health", { Origin: "https://evil.example" })).headers.get("access-control-allow-origin"),
    ).toBeNull();
  });
});
