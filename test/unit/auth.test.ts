import { SignJWT } from "jose";
import { expect, test } from "vitest";
import { createAuthenticate } from "../../functions/auth.ts";

const SECRET = "a secret of the tests, forty characters.";
const sign = (claims: Record<string, unknown>, seconds: number) =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: "HS256" })
    .setSubject("u")
    .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
    .sign(new TextEncoder().encode(SECRET));

test("a token that was good is refused once it has expired, however often it was seen before", async () => {
  let now = Date.now();
  const authenticate = createAuthenticate(SECRET, () => now);
  const authorization = `Bearer ${await sign({ role: "crew" }, 1)}`;
  for (let i = 0; i < 3; i += 1) expect(await authenticate(authorization)).toMatchObject({ userId: "u", role: "crew" });
  now += 5000;
  await expect(authenticate(authorization)).rejects.toThrow("The token has expired.");
});

test("two tokens are two callers, and one that is changed is none", async () => {
  const authenticate = createAuthenticate(SECRET);
  const crew = await sign({ role: "crew" }, 60);
  const admin = await sign({ roles: ["crew", "admin"] }, 60);
  expect((await authenticate(`Bearer ${crew}`)).role).toBe("crew");
  expect((await authenticate(`Bearer ${admin}`)).role).toBe("admin");
  const [head, , signature] = crew.split(".");
  const [, body] = admin.split(".");
  await expect(authenticate(`Bearer ${head}.${body}.${signature}`)).rejects.toThrow("not valid");
});

test("more tokens than are remembered are all served", async () => {
  const authenticate = createAuthenticate(SECRET);
  const many = await Promise.all(Array.from({ length: 1200 }, (_, i) => sign({ role: "crew", n: i }, 60)));
  for (const token of [...many, ...many]) expect((await authenticate(`Bearer ${token}`)).userId).toBe("u");
});
