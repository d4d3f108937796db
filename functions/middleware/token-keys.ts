import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  errors,
  type FetchImplementation,
  type JSONWebKeySet,
  type JWTPayload,
  jwtVerify,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
} from "jose";
import type { Log } from "../../shared/util/log.ts";
import { Problem } from "../http/problem.ts";

/** What tokens are verified with. */
export interface TokenKeys {
  /** Throws a JOSEError for a token that is not good, a Problem if the keys cannot be had. */
  verify(token: string, options: JWTVerifyOptions): Promise<JWTPayload>;
  /** How long what is verified now counts as verified, in ms since 1970: a key that is taken away opens nothing afterwards. */
  goodUntil(): number;
}

/** Secrets for HS256, and nothing but that: while they rotate, the new one and the one before. */
export function sharedSecrets(secrets: readonly string[]): TokenKeys {
  const keys = secrets.map((secret) => new TextEncoder().encode(secret));
  return {
    async verify(token, options) {
      let failure: unknown = new errors.JWSSignatureVerificationFailed();
      for (const key of keys) {
        try {
          return (await jwtVerify(token, key, { ...options, algorithms: ["HS256"] })).payload;
        } catch (error) {
          failure = error;
          if (!(error instanceof errors.JWSSignatureVerificationFailed)) break;
        }
      }
      throw failure;
    },
    // They change with a restart only.
    goodUntil: () => Infinity,
  };
}

/** Only public keys: with a secret among them, anyone who knows the public key could sign. Ed25519 is the current name of EdDSA. */
const ALGORITHMS = ["RS256", "ES256", "EdDSA", "Ed25519"];

/** A key set has a few keys of some 500 bytes each. */
const MAX_KEY_SET = 1_000_000;

/** How the key set of an identity provider is kept, ms. */
export const KEY_SET_TIMES = {
  /** A key set is fetched again when it is older: a removed key is accepted for at most this long. */
  good: 300_000,
  /** While the provider is away, the keys that are known go on for so long. */
  kept: 24 * 3_600_000,
  /** How soon an unknown key id may have the set fetched once more. */
  cooldown: 5000,
  /** How soon a provider that did not answer is asked again. */
  retry: 5000,
  deadline: 3000,
};

/** The key set of an identity provider (RFC 7517), fetched when it is needed first, old, or lacks a key id. */
export function remoteKeys(url: string, deps: { now: () => number; log: Log }): TokenKeys {
  const { now, log } = deps;
  let fetchedAt = -Infinity;
  let triedAt = -Infinity;
  let failedAt = -Infinity;
  /** A clock that was set back makes nothing young. */
  const within = (at: number, ms: number) => now() >= at && now() < at + ms;

  const ask: FetchImplementation = async (href, init) => {
    if (within(failedAt, KEY_SET_TIMES.retry)) throw unavailable();
    const askedAt = now();
    try {
      const response = await fetch(href, init);
      if (response.status !== 200) {
        await response.body?.cancel();
        throw new Error(`it answered ${response.status}`);
      }
      const keys = JSON.parse(await readBounded(response)) as JSONWebKeySet;
      createLocalJWKSet(keys);
      fetchedAt = askedAt;
      return Response.json(keys);
    } catch (error) {
      failedAt = now();
      log.warn({ reason: why(error) }, "JWKS_URL could not be fetched");
      throw unavailable();
    }
  };
  const keySet = createRemoteJWKSet(new URL(url), {
    cacheMaxAge: Infinity,
    cooldownDuration: KEY_SET_TIMES.cooldown,
    timeoutDuration: KEY_SET_TIMES.deadline,
    [customFetch]: ask,
  });

  /** One request at a time looks whether an old set is still the set; with one that is too old, all of them do. */
  async function refresh(): Promise<void> {
    if (!within(fetchedAt, KEY_SET_TIMES.kept)) return await keySet.reload();
    if (within(fetchedAt, KEY_SET_TIMES.good) || within(triedAt, KEY_SET_TIMES.retry)) return;
    triedAt = now();
    await keySet.reload().catch(() => undefined);
  }
  const find: JWTVerifyGetKey = async (header, token) => {
    await refresh();
    return await keySet(header, token);
  };
  return {
    async verify(token, options) {
      try {
        return (await jwtVerify(token, find, { ...options, algorithms: ALGORITHMS })).payload;
      } catch (error) {
        if (error instanceof Problem || error instanceof errors.JOSEError) throw error;
        // Such as an RSA key of less than 2048 bits.
        log.warn({ reason: why(error) }, "a key of JWKS_URL cannot be used");
        throw new errors.JWKSInvalid();
      }
    },
    goodUntil: () => fetchedAt + KEY_SET_TIMES.good,
  };
}

/** Reads a body up to MAX_KEY_SET bytes; whatever comes after that is not waited for. */
async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += (chunk as Uint8Array).length;
    if (size > MAX_KEY_SET) throw new Error(`it is larger than ${MAX_KEY_SET} bytes`);
    chunks.push(chunk as Uint8Array);
  }
  return Buffer.concat(chunks).toString();
}

const unavailable = () =>
  new Problem("keys-unavailable", "The key of the token is unknown, and the identity provider did not respond.");

/** Without anything of the URL. */
function why(error: unknown): string {
  if (!(error instanceof Error)) return "not known";
  const { code } = (error.cause ?? {}) as { code?: unknown };
  return typeof code === "string" ? code : error.name === "Error" ? error.message : error.name;
}
