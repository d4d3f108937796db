import { z } from "zod";
import { SetupError } from "../setup/setup-error.ts";
import { ask, causeOf } from "../support/api.ts";

const summary = z.object({
  received: z.number(),
  duplicates: z.number(),
  violations: z.number(),
  appliedViolations: z.number(),
});
const page = z.object({
  entries: z.array(z.object({ commandId: z.string().nullable(), first: z.boolean(), outcome: z.string() })),
  next: z.number(),
});
type LedgerEntry = z.infer<typeof page>["entries"][number];
const PAGE = 1_000;

/** What the CAD received during a period. */
export interface CadReport {
  duplicates: number;
  /** Commands that arrived after a newer one of the same unit or incident. */
  violations: number;
  /** The same for the order in which its handlers finished, which is the order of what it has stored. */
  appliedViolations: number;
  /** Command ids in order of first arrival. */
  firstDeliveries: string[];
}

/** Marks the current end of the simulator's ledger; the returned function reads what was added since. */
export async function watchLedger(simulatorUrl: string): Promise<() => Promise<CadReport>> {
  const before = await readSummary(simulatorUrl);
  return async () => {
    const after = await readSummary(simulatorUrl);
    return {
      duplicates: after.duplicates - before.duplicates,
      violations: after.violations - before.violations,
      appliedViolations: after.appliedViolations - before.appliedViolations,
      firstDeliveries: await readFirstDeliveries(simulatorUrl, before.received),
    };
  };
}

async function readFirstDeliveries(simulatorUrl: string, after: number): Promise<string[]> {
  const entries = await readLedger(simulatorUrl, after);
  return entries.flatMap(({ commandId, first }) => (first && commandId !== null ? [commandId] : []));
}

/** The ledger's entries with a number above `after`. */
export async function readLedger(simulatorUrl: string, after: number): Promise<LedgerEntry[]> {
  const all: LedgerEntry[] = [];
  for (let from = after; ;) {
    const { entries, next } = await read(`${simulatorUrl}/simulator/ledger?after=${from}&limit=${PAGE}`, page);
    all.push(...entries);
    if (entries.length === 0) return all;
    from = next;
  }
}

const readSummary = (simulatorUrl: string) => read(`${simulatorUrl}/simulator/ledger`, summary);

async function read<T>(url: string, schema: z.ZodType<T>): Promise<T> {
  try {
    return schema.parse((await ask("GET", url)).body);
  } catch (error) {
    throw new SetupError(
      `The simulator's ledger cannot be read at ${url}: ${causeOf(error)}`,
      "Fix SIMULATOR_URL, or unset it to skip the order check.",
      { cause: error },
    );
  }
}

/** What the CAD received, compared with what the bridge reported. */
export interface OrderCheck {
  report: CadReport;
  overtakings: number;
  /** Commands that are delivered according to their receipts, but that the CAD never received. */
  missing: number;
}

/** `delivered`: the ids whose receipts report a delivery. */
export function checkOrder(
  report: CadReport,
  accepted: ReadonlyMap<string, readonly string[]>,
  delivered: readonly string[],
): OrderCheck {
  const arrived = new Set(report.firstDeliveries);
  return {
    report,
    overtakings: countOvertakings(accepted, report.firstDeliveries),
    missing: delivered.filter((id) => !arrived.has(id)).length,
  };
}

/**
 * How many commands reached the CAD before one that was accepted earlier and shares an ordering key with it.
 * `accepted`: the ids of each key in the order of their 202s. Ids that never reached the CAD are skipped: their
 * final state covers them.
 */
export function countOvertakings(
  accepted: ReadonlyMap<string, readonly string[]>,
  firstDeliveries: readonly string[],
): number {
  const arrival = new Map(firstDeliveries.map((id, index) => [id, index]));
  let overtakings = 0;
  for (const ids of accepted.values()) {
    let latest = -1;
    for (const id of ids) {
      const at = arrival.get(id);
      if (at === undefined) continue;
      if (at < latest) overtakings += 1;
      latest = Math.max(latest, at);
    }
  }
  return overtakings;
}
