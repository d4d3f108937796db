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
import { readBounded } from "../../shared/util/read-bounded.ts";
import { Problem } from "../http/problem.ts";

/** Verifies tokens. */
export interface TokenKeys {
  /** Throws a JOSEError for an invalid token, a Problem if the keys are unavailable. */
  verify(token: string, options: JWTVerifyOptions): Promise<JWTPayload>;
  /** Until when a verification is valid, ms since 1970: afterwards a removed key must not be accepted any more. */
  goodUntil(): number;
}

/** Secrets for HS256 only: during a rotation, the new one and the previous one. */
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
    // They change only with a restart.
    goodUntil: () => Infinity,
  };
}

/** Public keys only: with a shared secret among them, anyone who knows the public key could sign. Ed25519 is EdDSA's new name. */
const ALGORITHMS = ["RS256", "ES256", "EdDSA", "Ed25519"];

/** Size limit: a key set has a few keys of about 500 bytes each. */
const MAX_KEY_SET = 1_000_000;

/** Caching of the identity provider's key set, ms. */
export const KEY_SET_TIMES = {
  /** An older key set is fetched again: a removed key is accepted for at most this long. */
  good: 300_000,
  /** While the provider is unavailable, the known keys stay valid for this long. */
  kept: 24 * 3_600_000,
  /** Minimum time before an unknown key id triggers another fetch. */
  cooldown: 5000,
  /** Minimum time before a provider that did not answer is asked again. */
  retry: 5000,
  deadline: 3000,
};

/** The key set of an identity provider (RFC 7517), fetched on first use, when old, or when a key id is missing. */
export function remoteKeys(url: string, deps: { now: () => number; log: Log }): TokenKeys {
  const { now, log } = deps;
  let fetchedAt = -Infinity;
  let triedAt = -Infinity;
  let failedAt = -Infinity;
  /** A clock that was set back does not make anything fresh. */
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
      const keys = JSON.parse(await readBounded(response, MAX_KEY_SET)) as JSONWebKeySet;
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

  /** For an old set, one request at a time refreshes it; for an expired one, all of them do. */
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

const unavailable = () =>
  new Problem("keys-unavailable", "The key of the token is unknown, and the identity provider did not respond.");

/** The reason, without any part of the URL. */
function why(error: unknown): string {
  if (!(error instanceof Error)) return "not known";
  const { code } = (error.cause ?? {}) as { code?: unknown };
  return typeof code === "string" ? code : error.name === "Error" ? error.message : error.name;
}
