import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type OwnRedis, startRedis } from "../../tools/setup/redis.ts";

/** A Redis that this test alone may torment. */
export async function ownRedis(): Promise<OwnRedis & { restart(): Promise<void> }> {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-faults-"));
  let redis = await startRedis({ dir, appendonly: true });
  onTestFinished(async () => {
    await redis.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const { port } = redis;
  return {
    ...redis,
    stop: () => redis.stop(),
    restart: async () => void (redis = await startRedis({ dir, appendonly: true, port })),
  };
}
