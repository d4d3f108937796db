import { BenchError } from "../measure/bench-error.ts";
import type { BenchCad } from "./bench-cad.ts";
import type { Arrivals } from "./cad.ts";
import { until } from "../measure/poll.ts";
import type { Rig } from "./rig.ts";

/**
 * Waits until everything is settled; throws a BenchError unless every accepted command reached the CAD in order and was
 * confirmed. Returns the arrivals at the CAD.
 * @param ids the commands accepted since the CAD's ledger was last cleared
 * @param confirmedBefore number of commands confirmed before them
 */
export async function checkDelivered(
  rig: Rig,
  cad: BenchCad,
  ids: readonly string[],
  confirmedBefore: number,
  withinMs: number,
): Promise<Arrivals> {
  await until("every accepted command is settled", async () => (await rig.backlog()).unsettled === 0, withinMs);
  const arrivals = await cad.arrivals();
  const arrived = new Set(arrivals.ids);
  const lost = ids.filter((id) => !arrived.has(id)).length;
  if (lost > 0) throw new BenchError(`${lost} of ${ids.length} accepted commands did not reach the CAD`);
  if (arrivals.violations > 0) throw new BenchError(`${arrivals.violations} commands reached the CAD out of order`);
  const { counts } = await rig.backlog();
  const confirmed = (counts["confirmed"] ?? 0) - confirmedBefore;
  if (confirmed !== ids.length)
    throw new BenchError(
      `${confirmed} of ${ids.length} commands were confirmed; final states: ${JSON.stringify(counts)}`,
    );
  return arrivals;
}

export const confirmedSoFar = async (rig: Rig): Promise<number> => (await rig.backlog()).counts["confirmed"] ?? 0;
