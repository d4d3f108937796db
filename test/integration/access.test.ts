import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from "vitest";
import { KEY_SET_TIMES } from "../../functions/middleware/token-keys.ts";
import { commands } from "../../shared/commands/table.ts";
import { may, ROLES, type Role } from "../../shared/vocabulary/roles.ts";
import { AUDIENCE, ISSUER, ORG, providerTokens, secretTokens, type TokenKind } from "../support/bad-tokens.ts";
import { type Bridge, startBridge } from "../support/bridge.ts";
import type { AtEnd } from "../support/edge.ts";
import { startIdentityProvider } from "../support/identity-provider.ts";
import { type AppRoute, appRoutes } from "../support/routes.ts";
import { until } from "../../tools/support/until.ts";

/** Every endpoint of the app, every role, and every kind of token, good or bad, on one bridge for each way to sign them. */

/** What may be asked without a token. To add to this list is to decide that anybody may. */
const PUBLIC = [
  "GET /health",
  "GET /openapi.json",
  "GET /asyncapi.json",
  "GET /docs",
  "GET /docs/start.js",
  "GET /docs/swagger-ui.css",
  "GET /docs/swagger-ui-bundle.js",
  "GET /admin",
  "GET /admin/{file}",
  "GET /schemas/{event}/{version}",
];

const routes = appRoutes();
const gated = routes.filter(({ name }) => !PUBLIC.includes(name));

const SECRET = "the secret of this test, forty characters";
const PREVIOUS = "the secret before it, forty characters..";
const claims = { JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE, ORG };

/** What the bridge is told of its tokens, and who signs them. */
const WAYS: Record<string, (atEnd: AtEnd) => Promise<{ env: Record<string, string>; tokens: TokenKind }>> = {
  "a secret that rotates": async () => ({
    env: { ...claims, JWT_SECRET: SECRET, JWT_SECRET_PREVIOUS: PREVIOUS },
    tokens: secretTokens(SECRET, PREVIOUS),
  }),
  "an identity provider": async (atEnd) => {
    const provider = await startIdentityProvider();
    atEnd(() => provider.stop());
    return { env: { ...claims, JWT_SECRET: "", JWKS_URL: provider.url }, tokens: await providerTokens(provider) };
  },
};

test("every endpoint is either public by the list of this test, or takes a role by the tables", () => {
  expect(routes.length).toBeGreaterThan(commands.length + PUBLIC.length);
  for (const { name, takes } of gated) expect(ROLES, `who may ${name}?`).toContain(takes);
  expect(routes.map(({ name }) => name)).toEqual(expect.arrayContaining(PUBLIC));
});

const unitOf = (keys: readonly string[]) => keys.find((key) => key.startsWith("unit:"))?.slice("unit:".length);
const examples = commands.flatMap((command) =>
  command.examples.map(({ summary, body }) => {
    const unit = unitOf(command.keys(command.body.parse(body)));
    return { name: command.name, role: command.role, summary, body, unit };
  }),
);

describe.each(inject("host") === "node" ? Object.keys(WAYS) : ["a secret that rotates"])("tokens of %s", (way) => {
  const ends: (() => Promise<void>)[] = [];
  const atEnd: AtEnd = (end) => void ends.push(end);
  let bridge: Bridge;
  let tokens: TokenKind;
  const bad = new Map<Role, Record<string, string>>();

  beforeAll(async () => {
    const started = await WAYS[way]?.(atEnd);
    if (!started) return;
    tokens = started.tokens;
    for (const role of ROLES) bad.set(role, await tokens.bad(role));
    bridge = await startBridge({ worker: false, functions: started.env, atEnd });
  }, 60_000);
  afterAll(async () => {
    for (const end of ends.toReversed()) await end();
  });

  async function ask({ method, path, body }: Pick<AppRoute, "method" | "path" | "body">, token: string) {
    const response = await fetch(`${bridge.url}${path}`, {
      method,
      headers: {
        ...(token && { Authorization: `Bearer ${token}` }),
        ...(body && { "Content-Type": "application/json" }),
      },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(15_000),
    });
    // What goes on for ever, such as a stream, is not waited for.
    const isProblem = response.headers.get("Content-Type") === "application/problem+json";
    const answer = isProblem ? ((await response.json()) as Record<string, unknown>) : {};
    if (!isProblem) await response.body?.cancel();
    const challenge = response.headers.get("WWW-Authenticate");
    return {
      status: response.status,
      code: answer["code"],
      required: answer["required_role"],
      units: answer["units"],
      challenge,
    };
  }
  const headers = async (role: Role, more = {}) => ({ Authorization: `Bearer ${await tokens.good(role, more)}` });
  const unsettled = async () =>
    ((await bridge.get("/status", await headers("admin"))).body["backlog"] as { unsettled: number }).unsettled;

  describe.each(gated)("$name", (route) => {
    test.each(ROLES)("refuses every bad token of a %s", async (role) => {
      const given = Object.entries(bad.get(role) ?? {});
      const answers = await Promise.all(
        given.map(async ([what, token]) => {
          const { status, code, challenge } = await ask(route, token);
          return [what, `${status} ${String(code)} ${challenge}`] as const;
        }),
      );
      const invalid = '401 unauthenticated Bearer realm="socket-bridge", error="invalid_token"';
      const expected = Object.fromEntries(given.map(([what]) => [what, invalid]));
      expected["no token"] = '401 unauthenticated Bearer realm="socket-bridge"';
      expect(Object.fromEntries(answers)).toEqual(expected);
    });

    test("refuses the good token of another organisation, or of none", async () => {
      for (const org of ["another", undefined, ORG.toUpperCase()]) {
        const answer = await ask(route, await tokens.good("admin", { org }));
        expect(answer).toMatchObject({
          status: 403,
          code: "wrong-org",
          challenge: expect.stringContaining("insufficient_scope"),
        });
      }
    });
  });

  test("no refused request was accepted", async () => expect(await unsettled()).toBe(0));

  describe.each(gated)("$name", (route) => {
    const { takes } = route;
    test.each(ROLES)("lets a %s in, or names the role that it takes", async (role) => {
      const answer = await ask(route, await tokens.good(role));
      if (takes !== undefined && takes !== "public" && may([role], takes)) {
        // Nothing has the id, and no worker runs: but it is told to those alone who may know.
        expect([200, 202, 204, 404, 503]).toContain(answer.status);
        expect(answer.challenge).toBeNull();
        if (answer.status === 503) expect(answer.code).toBe("no-worker");
      } else {
        expect(answer).toMatchObject({ status: 403, code: "forbidden", required: takes });
        expect(answer.challenge).toBe('Bearer realm="socket-bridge", error="insufficient_scope"');
      }
    });
  });

  describe.each(examples)("POST /$name, $summary, of a token with units", ({ name, role, body, unit }) => {
    const post = async (units: string[], by: Role = role) =>
      ask({ method: "POST", path: `/${name}`, body }, await tokens.good(by, { units }));

    test(
      unit ? "is accepted for its unit alone, whatever the role" : "names no unit: the role decides alone",
      async () => {
        if (unit === undefined) {
          for (const units of [[], ["X"]]) expect(await post(units)).toMatchObject({ status: 202 });
          return;
        }
        expect(await post(["X", unit])).toMatchObject({ status: 202 });
        for (const units of [[], ["X"], [`unit:${unit}`], [`${unit} `], [unit.toLowerCase()]]) {
          for (const by of new Set<Role>([role, "admin"])) {
            const answer = await post(units, by);
            expect(answer).toMatchObject({ status: 403, code: "outside-units", units: [unit] });
            expect(answer.challenge).toContain("insufficient_scope");
          }
        }
      },
    );
  });

  test("a receipt is visible to its own unit's tokens, and answers 404 to others", async () => {
    const body = { unit_id: "M77", status: "enroute" };
    const { command_id: id } = (await bridge.post("/units/status", body, await headers("crew"))).body;
    const read = async (units?: string[]) => bridge.get(`/commands/${String(id)}`, await headers("crew", { units }));
    for (const units of [undefined, ["M77"], ["M1", "M77"]]) expect((await read(units)).status).toBe(200);
    const nothing = await bridge.get("/commands/nobodys", await headers("crew"));
    const asIfNone: unknown = JSON.parse(JSON.stringify(nothing.body).replaceAll("nobodys", String(id)));
    for (const units of [[], ["M7"], ["m77"]]) {
      const answer = await read(units);
      expect(answer.status).toBe(404);
      expect(answer.body).toEqual(asIfNone);
    }
  });
});

test("while the identity provider is away its tokens are answered 503 in time, and 202 once it is back or was there", async () => {
  const provider = await startIdentityProvider();
  onTestFinished(() => provider.stop());
  provider.answer("nothing");
  const bridge = await startBridge({ worker: false, functions: { JWT_SECRET: "", JWKS_URL: provider.url } });
  const tokens = await providerTokens(provider);
  const body = { unit_id: "M1", status: "enroute" };
  const post = async () =>
    bridge.post("/units/status", body, {
      Authorization: `Bearer ${await tokens.good("crew", { jti: crypto.randomUUID() })}`,
    });
  const asked = performance.now();
  for (const answer of await Promise.all([post(), post(), post(), post()])) {
    expect(answer).toMatchObject({ status: 503, body: { code: "keys-unavailable" } });
    expect(answer.headers.get("Retry-After")).toBe("2");
    expect(answer.headers.get("WWW-Authenticate")).toBeNull();
  }
  expect(performance.now() - asked).toBeLessThan(KEY_SET_TIMES.deadline + 2000);
  const requests = provider.requests();
  expect((await post()).status).toBe(503);
  expect(provider.requests()).toBe(requests);
  provider.answer("keys");
  await until("the keys are there", async () => (await post()).status === 202);
  await provider.stop();
  expect((await post()).status).toBe(202);
});
