import { generateKeyPairSync, sign as signBytes } from "node:crypto";
import { SignJWT, UnsecuredJWT } from "jose";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createAuthenticate } from "../../functions/middleware/auth.ts";
import { KEY_SET_TIMES } from "../../functions/middleware/token-keys.ts";
import { type PublicAlgorithm, startIdentityProvider } from "../support/identity-provider.ts";
import { keptLog } from "../support/log.ts";

const CLAIMS = { sub: "u", role: "crew", exp: Math.floor(Date.now() / 1000) + 3600 };
const REFUSED = { code: "unauthenticated" };
const AWAY = { code: "keys-unavailable" };

/** An identity provider, and a bridge that trusts it. The time of day is the test's: `clock.add` lets some pass. */
async function start() {
  vi.useFakeTimers({ toFake: ["Date"] });
  onTestFinished(() => void vi.useRealTimers());
  const provider = await startIdentityProvider();
  onTestFinished(() => provider.stop());
  const clock = { add: (ms: number) => vi.setSystemTime(Date.now() + ms) };
  const { log, lines } = keptLog();
  const authenticate = createAuthenticate(
    { JWKS_URL: provider.url, JWT_CLOCK_TOLERANCE_S: 0 },
    { log, now: () => Date.now() },
  );
  return { provider, clock, lines, ask: (token: string) => authenticate(`Bearer ${token}`) };
}

describe("a key set", () => {
  test.each(["RS256", "ES256", "EdDSA"] as PublicAlgorithm[])("opens for what is signed with %s", async (alg) => {
    const { provider, ask } = await start();
    const key = await provider.addKey(alg);
    expect(await ask(await key.sign(CLAIMS))).toMatchObject({ userId: "u", role: "crew" });
    const stranger = await provider.addKey(alg, false);
    await expect(ask(await stranger.sign(CLAIMS))).rejects.toMatchObject(REFUSED);
  });

  test("is fetched once for many tokens at once, and again for a key id that it lacks, but not for each", async () => {
    const { provider, clock, ask } = await start();
    const key = await provider.addKey("ES256");
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, n) => key.sign({ ...CLAIMS, n })));
    await Promise.all(tokens.map(ask));
    expect(provider.requests()).toBe(1);
    const stranger = await provider.addKey("ES256", false);
    const forged = await Promise.all(Array.from({ length: 20 }, (_, n) => stranger.sign({ ...CLAIMS, n })));
    for (const expected of [1, 2]) {
      for (const token of forged) await expect(ask(token)).rejects.toMatchObject(REFUSED);
      expect(provider.requests()).toBe(expected);
      clock.add(KEY_SET_TIMES.cooldown);
    }
  });

  test("a new key is taken up by its id, and at once when the set is older than the cooldown", async () => {
    const { provider, clock, ask } = await start();
    await ask(await (await provider.addKey("ES256")).sign(CLAIMS));
    clock.add(KEY_SET_TIMES.cooldown);
    expect(await ask(await (await provider.addKey("EdDSA")).sign(CLAIMS))).toMatchObject({ userId: "u" });
    expect(provider.requests()).toBe(2);
  });

  test("is asked for nothing by what is no token of its kind", async () => {
    const { provider, ask } = await start();
    const secret = new TextEncoder().encode((await provider.addKey("RS256")).pem);
    const hmac = new SignJWT(CLAIMS).setProtectedHeader({ alg: "HS256", kid: "key-1" }).setExpirationTime("1h");
    for (const token of ["abc", "a.b.c", await hmac.sign(secret), new UnsecuredJWT(CLAIMS).encode()])
      await expect(ask(token)).rejects.toMatchObject(REFUSED);
    expect(provider.requests()).toBe(0);
  });

  test("a key that was removed opens nothing after five minutes, not even for a token that is remembered", async () => {
    const { provider, clock, ask } = await start();
    const [stays, goes] = [await provider.addKey("ES256"), await provider.addKey("ES256")];
    const [good, bad] = [await stays.sign(CLAIMS), await goes.sign(CLAIMS)];
    for (const token of [good, bad]) expect((await ask(token)).userId).toBe("u");
    provider.removeKey(goes);
    clock.add(KEY_SET_TIMES.good - 1000);
    expect((await ask(bad)).userId).toBe("u");
    clock.add(1001);
    await expect(ask(bad)).rejects.toMatchObject(REFUSED);
    expect((await ask(good)).userId).toBe("u");
    expect(provider.requests()).toBe(2);
  });
});

test("a key that cannot be used, or that is no public key, opens nothing and breaks nothing", async () => {
  const { provider, lines, ask } = await start();
  const good = await provider.addKey("ES256");
  const weak = generateKeyPairSync("rsa", { modulusLength: 1024 });
  provider.publish({ ...weak.publicKey.export({ format: "jwk" }), kid: "weak", alg: "RS256" });
  provider.publish({ kty: "EC", crv: "P-256", x: "AA", y: "AA", kid: "broken", alg: "ES256" });
  provider.publish({ kty: "oct", k: Buffer.from("s".repeat(32)).toString("base64url"), kid: "secret", alg: "HS256" });
  const [header, payload] = [{ alg: "RS256", kid: "weak" }, CLAIMS].map((part) =>
    Buffer.from(JSON.stringify(part)).toString("base64url"),
  );
  const signature = signBytes("sha256", Buffer.from(`${header}.${payload}`), weak.privateKey).toString("base64url");
  const hmac = new SignJWT(CLAIMS).setProtectedHeader({ alg: "HS256", kid: "secret" });
  const broken = new SignJWT(CLAIMS).setProtectedHeader({ alg: "ES256", kid: "broken" });
  await expect(ask(`${header}.${payload}.${signature}`)).rejects.toMatchObject(REFUSED);
  await expect(ask(await hmac.sign(new TextEncoder().encode("s".repeat(32))))).rejects.toMatchObject(REFUSED);
  await expect(ask(await broken.sign(good.key))).rejects.toMatchObject(REFUSED);
  expect((await ask(await good.sign(CLAIMS))).userId).toBe("u");
  const warnings = lines.filter((line) => line.message === "a key of JWKS_URL cannot be used");
  expect(warnings).toHaveLength(2);
});

test("a provider that comes back is asked again, and opens for what it signed meanwhile", async () => {
  const { provider, clock, ask } = await start();
  provider.answer({ status: 503, body: "" });
  const token = await (await provider.addKey("ES256")).sign(CLAIMS);
  await expect(ask(token)).rejects.toMatchObject(AWAY);
  provider.answer("keys");
  await expect(ask(token)).rejects.toMatchObject(AWAY);
  clock.add(KEY_SET_TIMES.retry);
  expect((await ask(token)).userId).toBe("u");
});

describe.each([
  ["is gone", "stop"],
  ["answers nothing", "nothing"],
  ["fails", { status: 500, body: "canary" }],
  ["answers what is no JSON", { status: 200, body: "<html>canary" }],
  ["answers what is no key set", { status: 200, body: '{"keys":"canary"}' }],
] as const)("a provider that %s", (_what, how) => {
  test("leaves the keys that are known in force; of another the bridge says that it cannot know", async () => {
    const { provider, clock, lines, ask } = await start();
    const key = await provider.addKey("ES256");
    const [seen, unseen, late] = await Promise.all([1, 2, 3].map((n) => key.sign({ ...CLAIMS, n }, "2d")));
    expect((await ask(seen ?? "")).userId).toBe("u");
    const stranger = await (await provider.addKey("ES256")).sign(CLAIMS, "2d");
    if (how === "stop") await provider.stop();
    else provider.answer(how);
    clock.add(KEY_SET_TIMES.good + 1);
    for (const token of [seen, unseen]) expect((await ask(token ?? "")).userId).toBe("u");
    const asked = provider.requests();
    await expect(ask(stranger)).rejects.toMatchObject(AWAY);
    await expect(ask(`${stranger}x`)).rejects.toMatchObject(AWAY);
    // It is asked again after a while only, however many tokens come.
    expect(provider.requests()).toBe(asked);
    clock.add(KEY_SET_TIMES.kept);
    await expect(ask(late ?? "")).rejects.toMatchObject(AWAY);
    expect(JSON.stringify(lines)).not.toMatch(/canary|127\.0\.0\.1/);
    expect(lines.map((line) => line.message)).toContain("JWKS_URL could not be fetched");
  });
});
