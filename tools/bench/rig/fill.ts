import { randomUUID } from "node:crypto";
import { createBackend } from "../../../functions/backend/backend.ts";
import { atMost } from "../../../shared/outbox/bounds.ts";
import { unitsStatus } from "../../../shared/commands/units-status.ts";
import { createLog } from "../../../shared/util/log.ts";
import { createSealer } from "../../../shared/sealing/seal.ts";
import { BenchError } from "../measure/bench-error.ts";
import { FLEET, statusBody } from "../load/fleet.ts";
import type { Rig } from "./rig.ts";

const AT_ONCE = 64;
const MAX_BACKLOG = 1_000_000;

/**
 * Fills the outbox as the functions do, but without HTTP, which would take most of the bench's time. Each command has an
 * idempotency key. Returns their ids.
 */
export async function fill(rig: Rig, commands: number, keys: 1 | 2, fleet = FLEET): Promise<string[]> {
  const { log } = createLog({ name: "fill", level: "warn" });
  const subscriber = rig.client.duplicate({ lazyConnect: true });
  const sealer = createSealer([]);
  const backend = createBackend(rig.client, subscriber, "socket-bridge", atMost(MAX_BACKLOG), sealer, log);
  const ids: string[] = [];
  const run = randomUUID();
  let n = 0;
  const producer = async () => {
    while (n < commands) {
      const mine = n++;
      const body = statusBody(mine, keys, fleet);
      const text = JSON.stringify(body);
      const appended = await backend.accept({
        id: randomUUID(),
        kind: unitsStatus.name,
        keys: unitsStatus.keys(body),
        body: text,
        user: "bench",
        role: "crew",
        fingerprints: sealer.fingerprints(text),
        latestWins: false,
        ttlSeconds: undefined,
        idempotencyKey: `${run}-${mine}`,
      });
      if (appended.outcome !== "accepted") throw new BenchError(`filling the outbox was answered ${appended.outcome}`);
      ids.push(appended.id);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, producer));
  await backend.close();
  return ids;
}
