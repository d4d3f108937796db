import type { Redis } from "ioredis";
import type { OutboxKeys } from "./keys.ts";

/**
 * The version of the format that the FORMAT.md files describe. Raise it when a process of the version before would misread what
 * this one writes; what older versions wrote must still be read, as it was their backlog. A store without a number has 0.
 */
export const STORE_FORMAT = 2;

/** What a store (all that one REDIS_PREFIX has in Redis) says of itself; `{prefix}:cad:store` in FORMAT.md. */
export interface StoreIdentity {
  /** Random, made with the store: another one stands there after Redis lost everything. */
  id: string;
  /** CAD_ID of the worker that owned it last; empty if it had none. */
  cad: string;
  /** CAD_BACKEND_URL of the same, as `cadAddress` gives it. */
  url: string;
  /** When a worker found that Redis had lost everything, and made the store anew; undefined if that never happened. */
  lostAt: Date | undefined;
  /** STORE_FORMAT of the newest version that owned it. */
  format: number;
}

/** Which CAD a worker is for. */
export interface CadClaim {
  /** CAD_ID; empty if it is not set. */
  cad: string;
  url: string;
  /** CAD_MOVED_FROM: the id or the address under which the store knows this CAD; empty if it is not set. */
  movedFrom: string;
}

/** Scheme, host, port and path of a CAD: what tells it from another one where nobody gave it an id. */
export function cadAddress(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname.replace(/\/+$/, "")}`;
}

/** The claim of a worker's configuration. */
export const cadClaim = (config: {
  CAD_ID?: string | undefined;
  CAD_BACKEND_URL: string;
  CAD_MOVED_FROM?: string | undefined;
}): CadClaim => ({
  cad: config.CAD_ID ?? "",
  url: cadAddress(config.CAD_BACKEND_URL),
  movedFrom: addressOrId(config.CAD_MOVED_FROM ?? ""),
});

const addressOrId = (text: string): string => (URL.canParse(text) && text.includes("//") ? cadAddress(text) : text);

/**
 * - `same`: it is this CAD's store, or a new one
 * - `moved`: it was another CAD's, and CAD_MOVED_FROM says to take it over
 * - `other`: it belongs to another CAD, and what waits there is not for this one
 */
export type Belonging = "same" | "moved" | "other";

/** Whose store it is. A CAD with an id may have any address; one without an id is its address. */
export function belonging(store: StoreIdentity | undefined, claim: CadClaim): Belonging {
  if (!store) return "same";
  const bothNamed = store.cad !== "" && claim.cad !== "";
  if (bothNamed ? store.cad === claim.cad : store.url === claim.url) return "same";
  return claim.movedFrom !== "" && [store.cad, store.url].includes(claim.movedFrom) ? "moved" : "other";
}

/** What the store says of itself; undefined if it is new, or if only an earlier version was there. */
export async function readStore(redis: Redis, keys: OutboxKeys): Promise<StoreIdentity | undefined> {
  const [id, cad, url, lostAt, format] = await redis.hmget(keys.store, "id", "cad", "url", "lost_at", "format");
  if (!id) return undefined;
  return {
    id,
    cad: cad ?? "",
    url: url ?? "",
    lostAt: lostAt ? new Date(Number(lostAt)) : undefined,
    format: Number(format ?? 0),
  };
}
