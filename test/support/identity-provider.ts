import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from "jose";

/** The last two are not taken by the bridge. */
export type PublicAlgorithm = "RS256" | "ES256" | "EdDSA" | "PS256" | "ES384";

export interface SigningKey {
  kid: string;
  alg: PublicAlgorithm;
  /** The public key as anybody knows it. */
  pem: string;
  key: CryptoKey;
  /** Expires when the claims say, or after `expires`. */
  sign(claims: Record<string, unknown>, expires?: string): Promise<string>;
}

/** An identity provider: serves its key set over HTTP, and counts who asks. */
export interface IdentityProvider {
  url: string;
  requests(): number;
  /** A new key; in the set at once, unless it is not to be. */
  addKey(alg: PublicAlgorithm, published?: boolean): Promise<SigningKey>;
  /** Adds to the set what this file would never make. */
  publish(jwk: JWK & { kid: string }): void;
  removeKey(key: SigningKey): void;
  /** What it answers instead of the set: a status with that body, or nothing at all. */
  answer(how: "keys" | "nothing" | { status: number; body: string }): void;
  stop(): Promise<void>;
}

export async function startIdentityProvider(): Promise<IdentityProvider> {
  const published = new Map<string, JWK>();
  let how: Parameters<IdentityProvider["answer"]>[0] = "keys";
  let requests = 0;
  let made = 0;
  const server = createServer((_request, response) => {
    requests += 1;
    if (how === "nothing") return;
    const { status, body } =
      how === "keys" ? { status: 200, body: JSON.stringify({ keys: [...published.values()] }) } : how;
    response.writeHead(status, { "Content-Type": "application/json" }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`,
    requests: () => requests,
    async addKey(alg, publish = true) {
      const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
      const kid = `key-${++made}`;
      if (publish) published.set(kid, { ...(await exportJWK(publicKey)), kid, alg, use: "sig" });
      return { kid, alg, pem: await exportSPKI(publicKey), key: privateKey, sign: signer(privateKey, alg, kid) };
    },
    publish: (jwk) => void published.set(jwk.kid, jwk),
    removeKey: ({ kid }) => void published.delete(kid),
    answer: (next) => void (how = next),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const signer =
  (key: CryptoKey, alg: string, kid: string): SigningKey["sign"] =>
  (claims, expires) => {
    const token = new SignJWT(claims).setProtectedHeader({ alg, kid });
    return (expires === undefined ? token : token.setExpirationTime(expires)).sign(key);
  };
