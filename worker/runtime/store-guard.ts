import { withoutCredentials } from "../../shared/health/worker-health.ts";
import { belonging, type CadClaim, STORE_FORMAT, type StoreIdentity } from "../../shared/redis/store-identity.ts";
import type { Log } from "../../shared/util/log.ts";

/** For how long it is a problem that Redis lost everything, ms: somebody is to see it, and it cannot be undone. */
const LOST_SHOWN_MS = 24 * 3_600_000;

/** What the lease's script writes of the store, in one step with the lease. */
export interface StoreClaim {
  /** The store's id as it was read; empty if there is none. */
  seen: string;
  id: string;
  cad: string;
  url: string;
  /** Redis lost the store that was there. */
  lost: boolean;
  /** Of what this version writes. */
  format: number;
}

/** Keeps a worker from taking the store of another CAD, and detects that Redis lost the store. */
export interface StoreGuard {
  /** What ACQUIRE is to write of the store that was read; undefined if it belongs to another CAD or a newer version, which is logged once. */
  claim(seen: StoreIdentity | undefined): StoreClaim | undefined;
  /** ACQUIRE wrote it. */
  taken(): void;
  /** Which CAD the store belongs to, if that is not this worker's. */
  otherCad(): { store: string; own: string } | undefined;
  /** The format of the store, if a newer version than this one wrote it. */
  newer(): { store: number; own: number } | undefined;
  /** When Redis lost everything, if that is not long ago. */
  lostAt(): Date | undefined;
}

/** @param newId a random id for a new store */
export function createStoreGuard(claim: CadClaim, newId: () => string, now: () => number, log: Log): StoreGuard {
  /** The store as this process knew it last. */
  let known: string | undefined;
  let other: string | undefined;
  let newer: number | undefined;
  let lost: Date | undefined;
  const ownName = claim.cad || withoutCredentials(claim.url);
  let next = { id: "", lost: false, moved: "" };

  function refuse(store: StoreIdentity): undefined {
    const whose = store.cad || withoutCredentials(store.url);
    if (other === whose) return undefined;
    other = whose;
    log.error(
      { store_cad: whose, own_cad: ownName },
      "this store belongs to another CAD: the worker stands by and sends nothing. Correct CAD_BACKEND_URL or REDIS_PREFIX; if the CAD has moved, set CAD_MOVED_FROM to what the store says",
    );
    return undefined;
  }

  function refuseNewer(store: StoreIdentity): undefined {
    if (newer === store.format) return undefined;
    newer = store.format;
    log.error(
      { store_format: store.format, own_format: STORE_FORMAT },
      "a newer version of the bridge wrote this store: this worker stands by. Install that version, or restore a backup from before the upgrade",
    );
    return undefined;
  }

  return {
    claim(seen) {
      if (seen && seen.format > STORE_FORMAT) return refuseNewer(seen);
      newer = undefined;
      const whose = belonging(seen, claim);
      if (seen) lost = seen.lostAt;
      if (seen && whose === "other") return refuse(seen);
      other = undefined;
      next = {
        id: seen?.id ?? newId(),
        lost: seen === undefined && known !== undefined,
        moved: seen && whose === "moved" ? seen.cad || withoutCredentials(seen.url) : "",
      };
      if (seen) known = seen.id;
      // A worker without an id leaves the CAD the one that it has.
      const cad = claim.cad || (whose === "same" ? (seen?.cad ?? "") : "");
      return { seen: seen?.id ?? "", id: next.id, cad, url: claim.url, lost: next.lost, format: STORE_FORMAT };
    },
    taken() {
      if (next.lost) {
        lost = new Date(now());
        log.error({ store: next.id, before: known }, "Redis lost its data: creating a new store");
      } else if (known === undefined) log.info({ store: next.id }, "creating a new store");
      if (next.moved)
        log.warn({ from: next.moved }, "the store of another CAD was taken over because of CAD_MOVED_FROM");
      known = next.id;
    },
    otherCad: () => (other === undefined ? undefined : { store: other, own: ownName }),
    newer: () => (newer === undefined ? undefined : { store: newer, own: STORE_FORMAT }),
    lostAt: () => (lost && now() - lost.getTime() < LOST_SHOWN_MS ? lost : undefined),
  };
}
