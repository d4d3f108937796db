import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { ensureRedis } from "../../tools/setup/redis.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
    /** Where the functions run. */
    host: "node" | "edge";
  }
}

/** vitest's globalSetup: one real Redis for all tests, each of which keeps to a key prefix of its own. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-redis-"));
  const redis = await ensureRedis({ dir, log: (line) => console.log(line) });
  project.provide("redisUrl", redis.url);
  return async () => {
    await redis.stop();
    rmSync(dir, { recursive: true, force: true });
  };
}
