import { ownNote } from "../../shared/audit/entry.ts";
import type { AuditTrail } from "../../shared/audit/trail.ts";
import { type Found, found } from "../../shared/health/problems.ts";
import { whyFailed } from "../../shared/redis/fault.ts";
import type { Log } from "../../shared/util/log.ts";

/** How many forgeries are remembered, so that none is counted twice. */
const REMEMBERED = 1000;

export type ForgedKind = "command" | "webhook" | "event" | "destination" | "audit" | "record";

/** Records in Redis that were not written by the bridge: their MAC is missing or wrong. */
export interface Forgeries {
  /** Notes one in the audit trail, the log and the health; the same one once. */
  note(kind: ForgedKind, id: string): void;
  /** How many since this worker owns the CAD; nothing if there was none. */
  problems(): Found[];
}

export function createForgeries(trail: Pick<AuditTrail, "note">, log: Log): Forgeries {
  const known = new Set<string>();
  let count = 0;
  let last = "";

  return {
    note(kind, id) {
      const name = `${kind} ${id}`;
      if (known.has(name)) return;
      if (known.size >= REMEMBERED) known.clear();
      known.add(name);
      count += 1;
      last = name;
      log.error({ kind, id }, "a record in Redis was not written by the bridge: it is ignored");
      trail
        .note(ownNote("worker", `FORGED ${kind}`), "forged", id)
        .catch((error: unknown) =>
          log.warn({ kind, id, reason: whyFailed(error) }, "a forgery was not recorded in the audit trail"),
        );
    },
    problems: () => (count === 0 ? [] : [found("forged-record", { count, last })]),
  };
}
