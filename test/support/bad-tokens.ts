import { type CryptoKey, exportJWK, generateKeyPair, importSPKI, SignJWT, UnsecuredJWT } from "jose";
import type { Role } from "../../shared/vocabulary/roles.ts";
import type { IdentityProvider, SigningKey } from "./identity-provider.ts";

export const ISSUER = "https://identity.example";
export const AUDIENCE = "socket-bridge";
export const ORG = "county";

/** How the tokens of a bridge are signed: what a good one is, and every way in which one may be bad. */
export interface TokenKind {
  good(role: Role, more?: Record<string, unknown>): Promise<string>;
  /** By what is bad about it; no token at all is an empty one. */
  bad(role: Role): Promise<Record<string, string>>;
}

type Claims = Record<string, unknown>;
type Sign = (claims: Claims, alg?: string) => Promise<string>;

const seconds = (fromNow: number) => Math.floor(Date.now() / 1000) + fromNow;
const goodClaims = (role: Role): Claims => ({
  ...{ sub: `somebody-${role}`, role, iss: ISSUER, aud: AUDIENCE, org: ORG },
  exp: seconds(3600),
});
const without = (claims: Claims, name: string): Claims => ({ ...claims, [name]: undefined });

const bytes = (secret: string) => new TextEncoder().encode(secret);
const signer =
  (key: Uint8Array | CryptoKey, alg: string, header: Claims = {}): Sign =>
  (claims, other = alg) =>
    new SignJWT(claims).setProtectedHeader({ alg: other, ...header }).sign(key);

/** What is bad whoever signs it. */
async function badClaims(claims: Claims, sign: Sign): Promise<Record<string, string>> {
  const good = await sign(claims);
  const [head = "", body = "", signature = ""] = good.split(".");
  const raised = Buffer.from(JSON.stringify({ ...claims, role: "admin", sub: "another" })).toString("base64url");
  return {
    "no token": "",
    "no JWT": "abc",
    "no algorithm": new UnsecuredJWT(claims).encode(),
    "no signature": `${head}.${body}.`,
    "a changed payload": `${head}.${raised}.${signature}`,
    expired: await sign({ ...claims, exp: seconds(-1) }),
    "no expiry": await sign(without(claims, "exp")),
    "not valid yet": await sign({ ...claims, nbf: seconds(3600) }),
    "no subject": await sign(without(claims, "sub")),
    "another audience": await sign({ ...claims, aud: "another" }),
    "no audience": await sign(without(claims, "aud")),
    "another issuer": await sign({ ...claims, iss: `${ISSUER}.evil.example` }),
    "no issuer": await sign(without(claims, "iss")),
    "units that are no list": await sign({ ...claims, units: "M12" }),
  };
}

/** HS256, while the secret rotates: the new one, and the one before. */
export function secretTokens(secret: string, previous: string): TokenKind {
  const sign = signer(bytes(secret), "HS256");
  const old = signer(bytes(previous), "HS256");
  return {
    good: (role, more) => (role === "dispatcher" ? old : sign)({ ...goodClaims(role), ...more }),
    async bad(role) {
      const claims = goodClaims(role);
      const { privateKey } = await generateKeyPair("ES256");
      return {
        ...(await badClaims(claims, sign)),
        "the old secret, expired": await old({ ...claims, exp: seconds(-1) }),
        "another secret": await signer(bytes("another secret, of thirty-two characters."), "HS256")(claims),
        HS512: await signer(bytes(secret), "HS512")(claims),
        "a public key's algorithm": await signer(privateKey, "ES256")(claims),
      };
    },
  };
}

/** Those of an identity provider, each role's with another algorithm. */
export async function providerTokens(provider: IdentityProvider): Promise<TokenKind> {
  const keys: Record<Role, SigningKey> = {
    admin: await provider.addKey("RS256"),
    dispatcher: await provider.addKey("ES256"),
    crew: await provider.addKey("EdDSA"),
  };
  const stranger = await provider.addKey("RS256", false);
  const own = await importSPKI(stranger.pem, "RS256", { extractable: true }).then(exportJWK);
  const others = [await provider.addKey("PS256"), await provider.addKey("ES384")];
  return {
    good: (role, more) => keys[role].sign({ ...goodClaims(role), ...more }),
    async bad(role) {
      const claims = goodClaims(role);
      const { kid, pem } = keys[role];
      return {
        ...(await badClaims(claims, (given) => keys[role].sign(given))),
        "a key that nobody published": await stranger.sign(claims),
        "a published key's id, another key": await signer(stranger.key, "RS256", { kid })(claims),
        "a key that it brings along": await signer(stranger.key, "RS256", { kid, jwk: own, jku: provider.url })(claims),
        "the public key as an HMAC secret": await signer(bytes(pem), "HS256", { kid })(claims),
        "the public key as an HMAC secret, HS512": await signer(bytes(pem), "HS512", { kid })(claims),
        ...Object.fromEntries(
          await Promise.all(
            others.map(async (other) => [`${other.alg}, published`, await other.sign(claims)] as const),
          ),
        ),
      };
    },
  };
}
