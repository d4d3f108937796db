import * as fc from "fast-check";
import { Agent, request } from "undici";
import { expect, test } from "vitest";
import { openApi } from "../../functions/openapi/document.ts";
import { awkward, fitting, mutated, oddTexts } from "../fuzz/arbitrary.ts";
import { liveMegabytes } from "../fuzz/heap.ts";
import { type Bridge, startBridge, tokens } from "../support/bridge.ts";

/** Cases for each endpoint (FUZZ_RUNS=10000 for as many), sent so many at once. A failure prints the seed: it repeats the run. */
const CASES = Number(process.env["FUZZ_RUNS"] ?? 750);
const AT_ONCE = 40;
const SEED = 20_261_122;
/** What a run may leave behind, MB: caches and pools that have a bound. A leak of two kilobytes a case would be more. */
const MAY_GROW_MB = 16;

type Json = Record<string, unknown>;
const document = openApi("/api/socket-bridge") as { paths: Json; components: Json };

const resolve = (ref: string): Json =>
  ref
    .split("/")
    .slice(1)
    .reduce<unknown>((at, part) => (at as Json)[part], document) as Json;

interface Operation {
  method: string;
  path: string;
  operation: Json;
}
const operations: Operation[] = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods as Json).flatMap(([method, operation]) =>
    ["get", "post", "put", "patch", "delete"].includes(method)
      ? [{ method: method.toUpperCase(), path, operation: operation as Json }]
      : [],
  ),
);

/** How often one may ask is not what is tried here. */
const UNLIMITED = {
  RATE_LIMIT_TOKEN: "0",
  RATE_LIMIT_TOKEN_BYTES: "0",
  RATE_LIMIT_ADDRESS: "0",
  RATE_LIMIT_UNAUTHENTICATED: "0",
};

/** Answers above 499 that say how things are, not that something broke: there is no worker in this test. */
const HONEST = new Set(["no-worker", "too-many-streams", "unhealthy"]);

const oddPart = fc
  .oneof(fc.constantFrom("none", "..", "%00", "%E0%A4%A", "%2F", "a%20b", "__proto__"), fc.string({ unit: "grapheme" }))
  .map((part) => (/^[%\w.]*$/.test(part) && part ? part : encodeURIComponent(part.toWellFormed()) || "x"));
const oddHeader = fc.string({ maxLength: 40 }).map((s) => s.replaceAll(/[^\x20-\x7e]/g, "?"));
const wait = fc.constantFrom("wait=0", "wait=-1", "wait=abc", "respond-async");

interface Case {
  target: string;
  headers: Record<string, string>;
  body: string | undefined;
}

/** Requests of every kind for one operation: such as it asks for, nearly such, and nothing of the kind. */
function casesOf({ method, path, operation }: Operation): fc.Arbitrary<Case> {
  const parameters = ((operation["parameters"] ?? []) as Json[]).map((p) =>
    typeof p["$ref"] === "string" ? resolve(p["$ref"]) : p,
  );
  const query = parameters.filter((p) => p["in"] === "query");
  const queryText = fc
    .array(
      fc.tuple(
        fc.constantFrom("x", ...query.map((p) => String(p["name"]))),
        fc.oneof(awkward, ...query.map((p) => fitting(p["schema"] as Json, resolve))),
      ),
      {
        maxLength: 3,
      },
    )
    .map((pairs) =>
      pairs
        .map(([k, v]) => `${k}=${encodeURIComponent(plain(v).toWellFormed())}`)
        .join("&")
        .slice(0, 3000),
    );
  const content = ((operation["requestBody"] as Json | undefined)?.["content"] as Json | undefined)?.[
    "application/json"
  ];
  const fit = content ? fitting((content as Json)["schema"] as Json, resolve) : fc.jsonValue();
  const body = fc.oneof(
    { weight: 3, arbitrary: fit.map((v) => JSON.stringify(v)) },
    { weight: 5, arbitrary: mutated(fit).map((v) => JSON.stringify(v) ?? "") },
    { weight: 1, arbitrary: awkward.map((v) => JSON.stringify(v) ?? "") },
    { weight: 1, arbitrary: oddTexts },
  );
  return fc.record({
    target: fc
      .tuple(fc.array(oddPart, { minLength: 3, maxLength: 3 }), queryText)
      .map(([parts, q]) => `${path.replaceAll(/\{\w+\}/g, () => parts.pop() ?? "x")}${q ? `?${q}` : ""}`),
    headers: fc.record(
      {
        "content-type": fc.oneof({ weight: 20, arbitrary: fc.constant("application/json") }, oddHeader),
        "idempotency-key": oddHeader,
        "command-ttl": fc.oneof(oddHeader, fc.integer().map(String)),
        "last-event-id": fc.oneof(oddHeader, fc.constantFrom("0-0", "1-1", "999999999999999-1")),
        prefer: wait,
        authorization: fc.oneof(
          { weight: 20, arbitrary: fc.constant(`Bearer ${tokens.admin}`) },
          oddHeader.map((s) => `Bearer ${s}`),
        ),
      },
      { requiredKeys: ["content-type", "authorization"] },
    ),
    body: method === "GET" ? fc.constant(undefined) : body,
  });
}

const plain = (value: unknown): string => (typeof value === "string" ? value : (JSON.stringify(value) ?? ""));

const agent = new Agent({ connections: AT_ONCE, pipelining: 1 });

/** What is wrong with the answer to a request; undefined if nothing is. */
async function faultOf(bridge: Bridge, method: string, { target, headers, body }: Case): Promise<unknown> {
  const url = `${bridge.url}${target}`;
  const answer = await request(url, { method, headers, ...(body !== undefined && { body }), dispatcher: agent });
  const type = String(answer.headers["content-type"] ?? "");
  if (type.startsWith("text/event-stream")) {
    answer.body.on("error", () => undefined); // it is cut here, as a client that goes away does
    answer.body.destroy();
    return undefined;
  }
  if (!type.includes("json") || answer.statusCode < 400) {
    await answer.body.dump({ limit: 1_000_000 });
    return undefined;
  }
  const said = (await answer.body.json()) as Json | null;
  const honest = answer.statusCode < 500 || HONEST.has(String(said?.["code"] ?? said?.["status"]));
  const silent = !/node_modules|\.ts:\d|ioredis/.test(JSON.stringify(said));
  return honest && silent && (type === "application/problem+json" || !said?.["code"]) ? undefined : said;
}

async function send(bridge: Bridge, method: string, cases: readonly Case[]): Promise<void> {
  for (let i = 0; i < cases.length; i += AT_ONCE) {
    const chunk = cases.slice(i, i + AT_ONCE);
    const faults = await Promise.all(chunk.map((c) => faultOf(bridge, method, c)));
    const at = faults.findIndex((fault) => fault !== undefined);
    if (at >= 0) expect.fail(`case ${i + at} of seed ${SEED}: ${JSON.stringify({ ...chunk[at], answer: faults[at] })}`);
  }
}

test.each(operations.map((o) => [`${o.method} ${o.path}`, o] as const))(
  `%s answers ${CASES} requests of every kind, and none of them with a fault of its own`,
  async (_name, operation) => {
    const bridge = await startBridge({ worker: false, functions: UNLIMITED });
    const { method } = operation;
    const cases = fc.sample(casesOf(operation), { numRuns: CASES, seed: SEED });
    await send(bridge, method, cases.slice(0, CASES / 10));
    bridge.logs.length = 0;
    const before = liveMegabytes();
    await send(bridge, method, cases.slice(CASES / 10));
    bridge.logs.length = 0;
    expect(liveMegabytes() - before).toBeLessThan(MAY_GROW_MB);
    expect((await bridge.get("/health")).body["backlog"]).not.toBeNull();
  },
  120_000,
);
