import type { Redis } from "ioredis";
import { type ChainKeys, GENESIS } from "../../shared/audit/chain.ts";
import { ownNote } from "../../shared/audit/entry.ts";
import { auditKeys } from "../../shared/audit/keys.ts";
import { openAuditChain } from "../../shared/audit/link.ts";
import { openAuditTrail } from "../../shared/audit/trail.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import type { Forgeries } from "../delivery/forgeries.ts";
import type { Log } from "../../shared/util/log.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import { redisFault } from "../../shared/redis/fault.ts";
import { DeadlineExceeded, sleep, withDeadline } from "../../shared/util/sleep.ts";

/** How soon an entry is in the chain, ms: until then, anyone with access to Redis could change it undetected. */
const LINK_EVERY_MS = 500;
const LINKS_AT_ONCE = 500;
const TRIM_EVERY_MS = 60_000;
const STEP_MS = 5000;
/** After a failure, ms. */
const AGAIN_MS = 10_000;
/** How often a changed key is logged, ms. */
const NOTED_MS = 3_600_000;

export interface AuditChainOptions {
  redis: Redis;
  keys: OutboxKeys;
  secrets: ChainKeys;
  /** AUDIT_ADOPT */
  adopt: string | undefined;
  sealer: Sealer;
  forgeries: Pick<Forgeries, "note">;
  /** How long an entry is kept. */
  keptMs: number;
  signal: AbortSignal;
  log: Log;
}

export interface AuditChainer {
  /** Until the signal aborts. */
  run(): Promise<void>;
  /** Why the chain cannot be extended; undefined if it can, or if Redis is the cause, which is reported elsewhere. */
  problem(): string | undefined;
}

/**
 * Puts the entries of the audit trail into its chain of hashes, one after the other: a single writer does it beside
 * everything else, since an accepted command is not to wait for that. Takes off what is older than it is to be kept.
 */
export function createAuditChainer(options: AuditChainOptions): AuditChainer {
  const { redis, keys, secrets, adopt, sealer, forgeries, keptMs, signal, log } = options;
  const onForged = (id: string) => forgeries.note("audit", id);
  const chain = openAuditChain(redis, auditKeys(keys.base), secrets, { adopt, sealer, onForged });
  let trimAt = 0;
  let began = false;
  let problem: string | undefined;

  async function step(): Promise<number> {
    if (!began) await noteNewKey();
    began = true;
    const linked = await chain.extend(LINKS_AT_ONCE);
    if (performance.now() >= trimAt) {
      const trimmed = await chain.trim(keptMs);
      if (trimmed > 0) log.info({ trimmed }, "old audit entries were deleted");
      trimAt = performance.now() + TRIM_EVERY_MS;
    }
    return linked;
  }

  /** Another key than the chain's last: from here on nobody can claim that there was none. */
  async function noteNewKey(): Promise<void> {
    const { by } = (await chain.head()) ?? GENESIS;
    if (by === secrets.by) return;
    const once = { key: JSON.stringify([by, secrets.by]), ms: NOTED_MS };
    await openAuditTrail(redis, keys, sealer).note({ ...ownNote("worker", "AUDIT_KEY"), once }, "done", "");
    log.info({ before: by, now: secrets.by }, "the audit chain continues with another key");
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      try {
        const linked = await withDeadline(step(), STEP_MS, "chaining the audit trail");
        problem = undefined;
        if (linked < LINKS_AT_ONCE) await sleep(LINK_EVERY_MS, signal);
      } catch (error) {
        if (signal.aborted) return;
        // A lost chain starts again, and the trail shows that.
        began = false;
        const reason = error instanceof Error ? error.message : "unknown";
        if (!redisFault(error) && !(error instanceof DeadlineExceeded)) problem = reason;
        log.error({ reason }, "the audit chain could not be extended; check it with npm run audit -- verify");
        await sleep(AGAIN_MS, signal);
      }
    }
  }

  return { run, problem: () => problem };
}
