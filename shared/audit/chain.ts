import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { auditSecret, type PayloadKey } from "../sealing/seal.ts";
import type { StoredEntry } from "./entry.ts";

/** `by` of a link made without a key. */
export const NO_KEY = "sha256";

/** The keys that make and verify links. */
export interface ChainKeys {
  /** The verifier has no key: checks only that entries and links match, but no hashes. */
  keyless?: boolean;
  /** Name of the key that makes links: `sha256` for none. */
  by: string;
  /** The keys by their names. */
  known: ReadonlyMap<string, string>;
}

const MIN_KEY = 32;

/** AUDIT_KEY: one key, or several separated by commas: the first makes links, all verify them. */
export const auditKeyList = z
  .string()
  .transform((text) => text.split(",").map((key) => key.trim()))
  .refine((keys) => keys.every((key) => key.length >= MIN_KEY), `must have at least ${MIN_KEY} characters each`)
  .describe(
    "Secrets for the hash chain of the audit trail, separated by commas: the first extends the chain, all verify it. Without one, whoever owns Redis can rewrite the trail.",
  );

/** @param secrets AUDIT_KEY; without it, the keys are derived from PAYLOAD_KEYS */
export function chainKeys(secrets: readonly string[] = [], payload: readonly PayloadKey[] = []): ChainKeys {
  const all = secrets.length > 0 ? secrets : payload.map(auditSecret);
  const named = all.map((secret) => [`hmac-${sha256(`name\n${secret}`).slice(0, 8)}`, secret] as const);
  return { by: named[0]?.[0] ?? NO_KEY, known: new Map(named) };
}

/** The end of the chain: its last entry. */
export interface Mark {
  id: string;
  hash: string;
  by: string;
  /** Number of entries in the chain up to here, in total. */
  count: number;
  /** The bridge had not written the entry, as found when it was linked. */
  forged?: boolean;
}

/** Before the first entry. */
export const GENESIS: Mark = { id: "0-0", hash: "", by: NO_KEY, count: 0 };

/** SHA-256, or HMAC-SHA-256 with a key, as base64url; undefined for an unknown key. */
function digest(text: string, by: string, { known }: ChainKeys): string | undefined {
  if (by === NO_KEY) return sha256(text);
  const secret = known.get(by);
  return secret === undefined ? undefined : createHmac("sha256", secret).update(text).digest("base64url");
}
const sha256 = (text: string): string => createHash("sha256").update(text).digest("base64url");

/** The hash of an entry: over the previous hash, its id, and all of its stored fields. */
export const hashOf = (
  [id, fields]: StoredEntry,
  before: string,
  by: string,
  keys: ChainKeys,
  forged = false,
): string | undefined =>
  digest(`${forged ? "forged" : "entry"}\n${before}\n${JSON.stringify([id, ...fields])}`, by, keys);

/** Authenticates a mark: nobody without the key can move the chain's start or end. */
export const sealOf = (what: "head" | "anchor", mark: Mark, by: string, keys: ChainKeys): string | undefined =>
  digest(`${what}\n${JSON.stringify([mark.id, mark.hash, mark.by, mark.count, by])}`, by, keys);

export function same(a: string | undefined, b: string): boolean {
  if (a === undefined || a.length !== b.length) return false;
  return timingSafeEqual(Buffer.from(a), Buffer.from(b));
}
