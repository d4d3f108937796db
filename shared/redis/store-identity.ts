import type { Redis } from "ioredis";
import type { OutboxKeys } from "./keys.ts";

/**
 * Version of the format described in the FORMAT.md files. Raise it when a process of the previous version would misread the new
 * format; data of older versions must still be read, since it was their backlog. A store without a number has 0.
 */
export const STORE_FORMAT = 2;

/** Identity of a store (everything below one REDIS_PREFIX in Redis); `{prefix}:cad:store` in FORMAT.md. */
export interface StoreIdentity {
  /** Random, created with the store: it changes when Redis lost everything. */
  id: string;
  /** CAD_ID of the last leader; empty if it had none. */
  cad: string;
  /** CAD_BACKEND_URL of the last leader, in the form of `cadAddress`. */
  url: string;
  /** When a worker found that Redis had lost everything and created the store anew; undefined if never. */
  lostAt: Date | undefined;
  /** STORE_FORMAT of the newest version that was the leader. */
  format: number;
}

/** The CAD a worker is configured for. */
export interface CadClaim {
  /** CAD_ID; empty if unset. */
  cad: string;
  url: string;
  /** CAD_MOVED_FROM: the id or address by which the store knows this CAD; empty if unset. */
  movedFrom: string;
}

/** Scheme, host, port and path of a CAD, which identify it if it has no id. */
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
 * `same`: this CAD's store, or a new one. `moved`: another CAD's, and CAD_MOVED_FROM allows taking it over. `other`: it belongs to
 * another CAD, and its backlog is not for this one.
 */
export type Belonging = "same" | "moved" | "other";

/** Whom the store belongs to. A CAD with an id may have any address; one without is identified by its address. */
export function belonging(store: StoreIdentity | undefined, claim: CadClaim): Belonging {
  if (!store) return "same";
  const bothNamed = store.cad !== "" && claim.cad !== "";
  if (bothNamed ? store.cad === claim.cad : store.url === claim.url) return "same";
  return claim.movedFrom !== "" && [store.cad, store.url].includes(claim.movedFrom) ? "moved" : "other";
}

/** The store's identity; undefined if it is new or only an earlier version has used it. */
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
