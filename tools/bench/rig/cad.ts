import { z } from "zod";
import { startCad } from "../../simulator/cad.ts";
import { CHARACTERS } from "../../simulator/characters.ts";
import { nowMs } from "../measure/clock.ts";
import { statusBody } from "../load/fleet.ts";
import { serve } from "../load/helper.ts";
import { sleepUntil } from "../load/load.ts";

/** Time of each command's first arrival, by id, and the number that arrived out of order. */
export interface Arrivals {
  ids: string[];
  atMs: number[];
  duplicates: number;
  violations: number;
}

/** Unit statuses, one unit after another, each with its due time. */
export interface Broadcast {
  count: number;
  /** Infinity is sent as null: as fast as possible. */
  perSecond: number | null;
}
export const BROADCAST_EVENT = "unit:status:updated";
/** Events per batch, before the sockets may write. */
const CHUNK = 50;

/** The simulator as a process that answers at once, with a ledger that uses the bench's clock. */
export type CadQuestions = {
  url: { takes: null; answers: string };
  /** The arrivals since `forget`. */
  arrivals: { takes: null; answers: Arrivals };
  count: { takes: null; answers: number };
  forget: { takes: null; answers: null };
  /** Resolves when everything has been broadcast. */
  broadcast: { takes: Broadcast; answers: null };
};

if (import.meta.main) {
  const env = z.object({
    BENCH_CAD_TOKEN: z.string().min(1),
    BENCH_CAD_CHARACTER: z.enum(CHARACTERS),
    BENCH_CAD_PORT: z.coerce.number().int(),
  });
  const { BENCH_CAD_TOKEN: token, BENCH_CAD_CHARACTER: character, BENCH_CAD_PORT: port } = env.parse(process.env);
  const cad = await startCad({ token, character, port, now: nowMs, switches: { delayMs: { min: 0, max: 0 } } });

  serve<CadQuestions>({
    url: () => cad.url,
    count: () => cad.ledger.summary().commands,
    arrivals() {
      const ids: string[] = [];
      const atMs: number[] = [];
      for (const { commandId, first, time } of cad.ledger.entries({ limit: Infinity })) {
        if (!first || commandId === null) continue;
        ids.push(commandId);
        atMs.push(time);
      }
      const { duplicates, violations } = cad.ledger.summary();
      return { ids, atMs, duplicates, violations };
    },
    async broadcast({ count, perSecond }) {
      const began = nowMs();
      for (let n = 0; n < count; n += 1) {
        const dueMs = perSecond === null ? nowMs() : began + (n * 1000) / perSecond;
        if (perSecond !== null) await sleepUntil(dueMs);
        else if (n % CHUNK === 0) await new Promise(setImmediate);
        const { unit_id: unitId, status } = statusBody(n, 1);
        cad.broadcast(BROADCAST_EVENT, { unitId, status, dueMs });
      }
      return null;
    },
    forget() {
      cad.ledger.clear();
      return null;
    },
  });
}
