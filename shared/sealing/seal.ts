import { createHash, createHmac, hkdfSync, timingSafeEqual, type webcrypto } from "node:crypto";
import { z } from "zod";

/** A key that seals payloads; its id is stored in clear beside each of them. */
export interface PayloadKey {
  id: string;
  /** 32 bytes. */
  secret: Uint8Array<ArrayBuffer>;
}

/** Kind of a sealed text, part of the additional data, so that one cannot replace another. */
export type SealedKind = "command" | "journal" | "state" | "webhook" | "replay";

export interface Sealer {
  /** Returns the text in its stored form; unchanged without keys. The text is JSON. */
  seal(kind: SealedKind, id: string, text: string): Promise<string>;
  /** Returns the original text. Throws SealError. Text stored before there were keys opens unchanged, if allowed. */
  open(kind: SealedKind, id: string, stored: string): Promise<string>;
  /**
   * Shows whether two texts are equal, without revealing anything else to anyone without the keys: HMAC-SHA-256 under each key,
   * the first key first; a match with any counts. Store only the first.
   */
  fingerprints(text: string): readonly string[];
  /**
   * Authenticates values stored in clear: HMAC-SHA-256 under the first key; empty without keys. The first value is their kind, so
   * that a MAC fits no other record.
   */
  mac(values: MacValues): string;
  /** Whether there are keys: without them nothing is authenticated. */
  readonly keyed: boolean;
  /** Whether data of earlier versions, or from before there were keys, is accepted. */
  readonly lenient: boolean;
  /** Throws SealError unless the MAC matches these values. Accepts anything without keys. */
  verify(values: MacValues, mac: string | null | undefined): void;
}
export type MacValues = readonly [what: string, ...values: (string | number | null)[]];

/** Why a stored text cannot be opened. `tampered` is permanent; the others depend on the configuration. */
export class SealError extends Error {
  override name = "SealError";
  readonly code: "missing-key" | "unsealed" | "tampered";
  constructor(code: SealError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

const missing = (id: string) =>
  new SealError("missing-key", `a payload is sealed with the key "${id}", which is not in PAYLOAD_KEYS: add it again`);
const unsealed = () =>
  new SealError(
    "unsealed",
    "a payload in Redis is not sealed: if it is from before PAYLOAD_KEYS was set, set ALLOW_UNSEALED_PAYLOADS=true until it is delivered",
  );
const unauthenticated = () =>
  new SealError(
    "unsealed",
    "a record in Redis has no MAC: if it is from before PAYLOAD_KEYS was set, set ALLOW_UNSEALED_PAYLOADS=true until it is delivered",
  );
export const tampered = (kind: string) =>
  new SealError("tampered", `the sealed ${kind} was changed in Redis, or put in the place of another`);

const TAG = "sealed:";
export const isSealed = (stored: string): boolean => stored.startsWith(TAG);
const STORED = /^sealed:v1:([\w.-]{1,32}):([\w-]+)$/;
const MAC = /^mac:v1:([\w.-]{1,32}):([\w-]{43})$/;
/** 96 random bits, for at most 2^32 texts under one key (NIST SP 800-38D, 8.3): rotate before. */
const IV_BYTES = 12;
const KEY_BYTES = 32;

const utf8 = (text: string) => new TextEncoder().encode(text);

/**
 * Seals with AES-256-GCM under the first key, and opens under any of them.
 * @param clear whether unsealed text opens although there are keys: anyone who can write to Redis could have put it there
 */
export function createSealer(keys: readonly PayloadKey[], clear: "open" | "refuse" = "open"): Sealer {
  const all = keys.map(openKey);
  const byId = new Map(all.map((key) => [key.id, key]));
  const [first] = all;

  return {
    async seal(kind, id, text) {
      if (!first) return text;
      const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
      const cipher = await crypto.subtle.encrypt(gcm(iv, first.id, kind, id), await first.forSeals(), utf8(text));
      return `${TAG}v1:${first.id}:${Buffer.concat([iv, new Uint8Array(cipher)]).toString("base64url")}`;
    },

    async open(kind, id, stored) {
      if (!isSealed(stored)) {
        if (first && clear === "refuse") throw unsealed();
        return stored;
      }
      const [, keyId = "", encoded = ""] = STORED.exec(stored) ?? [];
      const bytes = Uint8Array.from(Buffer.from(encoded, "base64url"));
      // The last character may have several encodings of the same bytes; only one of them was written.
      if (keyId === "" || Buffer.from(bytes).toString("base64url") !== encoded) throw tampered(kind);
      const key = byId.get(keyId);
      if (!key) throw missing(keyId);
      const secret = await key.forSeals();
      try {
        const parameters = gcm(bytes.subarray(0, IV_BYTES), keyId, kind, id);
        return new TextDecoder("utf-8", { ignoreBOM: true }).decode(
          await crypto.subtle.decrypt(parameters, secret, bytes.subarray(IV_BYTES)),
        );
      } catch {
        throw tampered(kind);
      }
    },

    fingerprints(text) {
      // Includes the plain hash, for requests accepted before there were keys.
      const plain = clear === "open" || !first ? [createHash("sha256").update(text).digest("hex")] : [];
      const keyed = all.map(
        (key) => `hmac:v1:${key.id}:${createHmac("sha256", key.forFingerprints()).update(text).digest("hex")}`,
      );
      return [...keyed, ...plain];
    },

    keyed: first !== undefined,
    lenient: clear === "open",

    mac: (values) => (first ? macUnder(first, values) : ""),

    verify(values, mac) {
      if (!first) return;
      if (!mac) {
        if (clear === "open") return;
        throw unauthenticated();
      }
      const keyId = MAC.exec(mac)?.[1];
      if (keyId === undefined) throw tampered(values[0]);
      const key = byId.get(keyId);
      if (!key) throw missing(keyId);
      const expected = Buffer.from(macUnder(key, values));
      const given = Buffer.from(mac);
      if (expected.length !== given.length || !timingSafeEqual(expected, given)) throw tampered(values[0]);
    },
  };
}

const macUnder = (key: ReturnType<typeof openKey>, values: MacValues): string =>
  `mac:v1:${key.id}:${createHmac("sha256", key.forMacs()).update(JSON.stringify(values)).digest("base64url")}`;

/** Seals for one destination: the same message to another may contain more, and must not open in its place. */
export const sealerFor = (sealer: Sealer, destination: string): Sealer => ({
  ...sealer,
  seal: (kind, id, text) => sealer.seal(kind, `${destination}/${id}`, text),
  open: (kind, id, stored) => sealer.open(kind, `${destination}/${id}`, stored),
});

const gcm = (iv: Uint8Array<ArrayBuffer>, keyId: string, kind: SealedKind, id: string) => ({
  name: "AES-GCM",
  iv,
  additionalData: utf8(JSON.stringify(["v1", keyId, kind, id])),
});

const deriveFrom = (secret: Uint8Array, use: string) =>
  new Uint8Array(hkdfSync("sha256", secret, new Uint8Array(), `socket-bridge ${use} v1`, KEY_BYTES));

/** The secret of the audit chain without AUDIT_KEY. */
export const auditSecret = ({ secret }: PayloadKey): string =>
  Buffer.from(deriveFrom(secret, "audit")).toString("base64");

/** Derives several keys from one secret, one per use (HKDF, RFC 5869), each on first use. */
function openKey({ id, secret }: PayloadKey) {
  const derive = (use: string) => deriveFrom(secret, use);
  // Not cached as a promise: in workerd, one that another request started may never settle.
  let seals: webcrypto.CryptoKey | undefined;
  let fingerprints: Uint8Array | undefined;
  let macs: Uint8Array | undefined;
  return {
    id,
    forSeals: async () =>
      (seals ??= await crypto.subtle.importKey("raw", derive("seal"), "AES-GCM", false, ["encrypt", "decrypt"])),
    // node:crypto: the promise of WebCrypto's digest makes it cost eight times as much (measured).
    forFingerprints: () => (fingerprints ??= derive("fingerprint")),
    forMacs: () => (macs ??= derive("mac")),
  };
}

/** `ID:KEY,ID:KEY`, or one per line. Errors give the position in the list, not the value. */
export const payloadKeys = z.string().transform((text, context): PayloadKey[] => {
  const wrong = (index: number, what: string) =>
    context.addIssue({ code: "custom", message: `entry ${index + 1} ${what}` });
  const keys: PayloadKey[] = [];
  for (const [index, entry] of text
    .trim()
    .split(/[\s,]+/)
    .entries()) {
    const [, id, secret] = /^([^:]*):(.*)$/s.exec(entry) ?? [];
    if (id === undefined || secret === undefined) wrong(index, "is not ID:KEY");
    else if (!/^[\w.-]{1,32}$/.test(id))
      wrong(index, "has an id that is not 1 to 32 letters, digits, dots, dashes or underscores");
    else if (keys.some((key) => key.id === id)) wrong(index, "has the id of one before it");
    else if (!/^[A-Za-z0-9+/]{43}=$/.test(secret))
      wrong(index, "has a key that is not 32 bytes in base64: make one with `openssl rand -base64 32`");
    else keys.push({ id, secret: Uint8Array.from(Buffer.from(secret, "base64")) });
  }
  return keys;
});
