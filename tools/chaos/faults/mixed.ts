import { setTimeout as pause } from "node:timers/promises";
import type { Random } from "../../simulator/random.ts";
import type { Rig, RigWorker } from "../rig/rig.ts";
import * as strikes from "./strikes.ts";

/** Faults that may strike in any state of the rig; each restores it. */
const FAULTS: readonly ((rig: Rig, worker: RigWorker) => Promise<unknown>)[] = [
  async (_rig, { service }) => {
    await service.kill("SIGKILL");
    await service.start();
  },
  async (_rig, { service }) => {
    await service.kill("SIGTERM");
    await service.start();
  },
  (rig) => strikes.redisAway(rig, "SIGKILL", 500),
  (rig) => strikes.redisAway(rig, "SIGTERM", 0),
  async (rig) => {
    await rig.redis.kill("SIGSTOP");
    await pause(3000);
    await rig.redis.kill("SIGCONT");
  },
  strikes.killCad,
  (rig) => strikes.freezeCad(rig, 4000),
  async (_rig, { toCad }) => toCad.cut(),
  async (_rig, { toRedis }) => toRedis.cut(),
  strikes.killFunctions,
  async (rig) => {
    await rig.runRedisCommand("CONFIG", "SET", "maxmemory", "1mb");
    await pause(1500);
    await rig.runRedisCommand("CONFIG", "SET", "maxmemory", "0");
  },
];
const MAX_PAUSE_MS = 2500;

/** Injects faults in quick succession for `ms`, before the bridge has recovered from the last one. */
export const strikeAtRandom = (ms: number) => async (rig: Rig, random: Random) => {
  const until = Date.now() + ms;
  while (Date.now() < until) {
    const fault = FAULTS[Math.floor(random() * FAULTS.length)];
    const worker = rig.workers[Math.floor(random() * rig.workers.length)];
    if (fault && worker) await fault(rig, worker);
    await pause(MAX_PAUSE_MS * random());
  }
  return Date.now();
};
