import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import { type AccessConfig, createAuthenticate } from "../../functions/middleware/auth.ts";
import { mayTouch } from "../../functions/middleware/scope.ts";
import { keptLog } from "../support/log.ts";

const SECRET = "a secret of the tests, forty characters.";
const OTHER = "another secret of the tests, as long as.";
const CLAIMS = { sub: "u", role: "crew" };

function authenticator(config: Partial<AccessConfig> = {}, now: () => number = Date.now) {
  const authenticate = createAuthenticate(
    { JWT_SECRET: SECRET, JWT_CLOCK_TOLERANCE_S: 0, ...config },
    { log: keptLog().log, now },
  );
  return (token: string) => authenticate(`Bearer ${token}`);
}

/** @param seconds from now: until it expires, and until it begins to be valid */
function sign(claims: Record<string, unknown> = CLAIMS, seconds: { exp?: number; nbf?: number } = {}, secret = SECRET) {
  const now = Math.floor(Date.now() / 1000);
  const token = new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).setExpirationTime(now + (seconds.exp ?? 60));
  if (seconds.nbf !== undefined) token.setNotBefore(now + seconds.nbf);
  return token.sign(new TextEncoder().encode(secret));
}

describe("a cached token", () => {
  test("is refused once it has expired, however often it was seen before", async () => {
    let now = Date.now();
    const authenticate = authenticator({}, () => now);
    const token = await sign(CLAIMS, { exp: 1 });
    for (let i = 0; i < 3; i += 1) expect(await authenticate(token)).toMatchObject({ userId: "u", role: "crew" });
    now += 5000;
    await expect(authenticate(token)).rejects.toThrow("The token has expired.");
  });

  test("is refused when the clock is set back to before it was valid", async () => {
    let now = Date.now();
    const authenticate = authenticator({}, () => now);
    const token = await sign(CLAIMS, { nbf: -10 });
    expect(await authenticate(token)).toMatchObject({ userId: "u" });
    now -= 60_000;
    await expect(authenticate(token)).rejects.toThrow("The token is not valid yet.");
  });

  test("is one caller, and another token another; one that is changed is none", async () => {
    const authenticate = authenticator();
    const crew = await sign();
    const admin = await sign({ sub: "u", roles: ["crew", "admin"] });
    expect((await authenticate(crew)).role).toBe("crew");
    expect((await authenticate(admin)).role).toBe("admin");
    const [head, , signature] = crew.split(".");
    const [, body] = admin.split(".");
    await expect(authenticate(`${head}.${body}.${signature}`)).rejects.toThrow("not valid");
  });

  test("gives way to a new one, and is served all the same", async () => {
    const authenticate = authenticator();
    const many = await Promise.all(Array.from({ length: 1200 }, (_, n) => sign({ ...CLAIMS, n })));
    for (const token of [...many, ...many]) expect((await authenticate(token)).userId).toBe("u");
  });
});

describe("validation of a token", () => {
  test("one comes as a bearer token, in whatever case and with whatever spaces, and as nothing else", async () => {
    const authenticate = createAuthenticate({ JWT_SECRET: SECRET, JWT_CLOCK_TOLERANCE_S: 0 }, { log: keptLog().log });
    const token = await sign();
    for (const good of [`Bearer ${token}`, `bearer   ${token}`]) expect((await authenticate(good)).userId).toBe("u");
    for (const bad of [
      undefined,
      "",
      "Bearer",
      `Basic ${token}`,
      token,
      `Bearer ${token} x`,
      `Bearer ${token},`,
      "Bearer é",
    ])
      await expect(authenticate(bad)).rejects.toMatchObject({
        code: "unauthenticated",
        headers: { "WWW-Authenticate": 'Bearer realm="socket-bridge"' },
      });
  });

  test("while a secret rotates, both the new one and the one before are good; afterwards the new one alone", async () => {
    const [before, after] = await Promise.all([sign(CLAIMS, {}, OTHER), sign()]);
    const rotating = authenticator({ JWT_SECRET_PREVIOUS: OTHER });
    for (const token of [before, after, before]) expect((await rotating(token)).userId).toBe("u");
    await expect(rotating(await sign(CLAIMS, {}, "a third secret, thirty-two characters"))).rejects.toThrow(
      "not valid",
    );
    await expect(rotating(await sign(CLAIMS, { exp: -5 }, OTHER))).rejects.toThrow("has expired");
    await expect(authenticator()(before)).rejects.toThrow("not valid");
  });

  test("the clock tolerance widens both ends of a token's life, and no more than that", async () => {
    let now = Date.now();
    const authenticate = authenticator({ JWT_CLOCK_TOLERANCE_S: 30 }, () => now);
    const [old, young] = await Promise.all([sign(CLAIMS, { exp: -20 }), sign(CLAIMS, { nbf: 20 })]);
    for (const token of [old, young]) expect((await authenticate(token)).userId).toBe("u");
    now += 15_000;
    await expect(authenticate(old)).rejects.toThrow("has expired");
    await expect(authenticate(await sign(CLAIMS, { nbf: 60 }))).rejects.toThrow("not valid yet");
  });

  test("issuer and audience have to be right where they are configured; one audience of several is enough", async () => {
    const authenticate = authenticator({ JWT_ISSUER: "idp", JWT_AUDIENCE: "bridge" });
    const good = { ...CLAIMS, iss: "idp", aud: ["other", "bridge"] };
    expect((await authenticate(await sign(good))).userId).toBe("u");
    await expect(authenticate(await sign({ ...good, iss: "idp2" }))).rejects.toThrow("issuer");
    await expect(authenticate(await sign({ ...good, aud: "other" }))).rejects.toThrow("audience");
    await expect(authenticate(await sign(CLAIMS))).rejects.toThrow("issuer");
  });

  test.each([
    [{}, ["JWT_ISSUER", "JWT_AUDIENCE"]],
    [{ JWT_AUDIENCE: "bridge" }, ["JWT_ISSUER"]],
    [{ JWT_ISSUER: "idp" }, ["JWT_AUDIENCE"]],
    [{ JWT_ISSUER: "idp", JWT_AUDIENCE: "bridge" }, []],
  ])("with an identity provider and %j the start warns of %j", (set, unset) => {
    const { log, lines } = keptLog();
    createAuthenticate({ JWKS_URL: "https://idp.example/keys", JWT_CLOCK_TOLERANCE_S: 0, ...set }, { log });
    expect(lines.map((line) => line.fields["hint"])).toEqual(unset.map((name) => `set ${name}`));
  });

  test.each([undefined, "other", ["ours"], "", null])(
    "org %j opens nothing where another is configured",
    async (org) => {
      const authenticate = authenticator({ ORG: "ours" });
      await expect(authenticate(await sign({ ...CLAIMS, org }))).rejects.toMatchObject({
        code: "wrong-org",
        headers: { "WWW-Authenticate": 'Bearer realm="socket-bridge", error="insufficient_scope"' },
      });
      expect((await authenticate(await sign({ ...CLAIMS, org: "ours" }))).userId).toBe("u");
    },
  );
});

describe("an organisation that is a number", () => {
  test.each([1, "1"])("ORG=1 takes the claim org %j", async (org) => {
    const authenticate = authenticator({ ORG: "1" });
    expect((await authenticate(await sign({ ...CLAIMS, org }))).userId).toBe("u");
  });
  test.each([2, "01", " 1", 1.5, true, [1], { 1: 1 }, null])("ORG=1 refuses the claim org %j", async (org) => {
    const authenticate = authenticator({ ORG: "1" });
    await expect(authenticate(await sign({ ...CLAIMS, org }))).rejects.toMatchObject({ code: "wrong-org" });
  });
  test("ORG=true is not the claim org true", async () => {
    const authenticate = authenticator({ ORG: "true" });
    await expect(authenticate(await sign({ ...CLAIMS, org: true }))).rejects.toMatchObject({ code: "wrong-org" });
  });
});

describe("the scope of a token", () => {
  test("is the list of its claim units; any other form of that claim makes it no token at all", async () => {
    const authenticate = authenticator();
    expect(await authenticate(await sign({ ...CLAIMS, units: ["M1", "E2"] }))).toMatchObject({ units: ["M1", "E2"] });
    expect(await authenticate(await sign({ ...CLAIMS, units: ["M1", 7] }))).toMatchObject({ units: ["M1", "7"] });
    expect(await authenticate(await sign(CLAIMS))).not.toHaveProperty("units");
    for (const units of ["M1", null, {}, [1.5], [true], [["M1"]], 7])
      await expect(authenticate(await sign({ ...CLAIMS, units }))).rejects.toMatchObject({ code: "unauthenticated" });
  });

  test.each([
    [undefined, ["unit:M1", "incident:I"], true],
    [["M1"], ["unit:M1", "incident:I"], true],
    [["M1"], ["unit:M1", "unit:M2"], false],
    [["M1"], ["unit:m1"], false],
    [["M1"], ["unit:M1 "], false],
    [["I"], ["unit:M1", "incident:I"], false],
    [["M1"], ["incident:I"], true],
    [["M1"], ["metrics"], true],
    [[], ["unit:M1"], false],
    [[], ["incident:I"], true],
    [["unit:M1"], ["unit:M1"], false],
  ] as const)("units %j may touch %j: %s", (units, keys, may) => {
    const caller = { userId: "u", role: "crew" as const, roles: ["crew" as const] };
    expect(mayTouch(units ? { ...caller, units } : caller, [...keys])).toBe(may);
  });
});
