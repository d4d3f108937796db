import { setTimeout as pause } from "node:timers/promises";
import type { Random } from "../../simulator/random.ts";
import type { Rig, RigWorker } from "../rig/rig.ts";
import * as strikes from "./strikes.ts";

/** What may strike at any time, in any state of the rig; each leaves it whole. */
const BLOWS: readonly ((rig: Rig, worker: RigWorker) => Promise<unknown>)[] = [
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
    await rig.toRedisResponse("CONFIG", "SET", "maxmemory", "1mb");
    await pause(1500);
    await rig.toRedisResponse("CONFIG", "SET", "maxmemory", "0");
  },
];
const MAX_PAUSE_MS = 2500;

/** One blow after the other for so long, before the bridge had the time to recover from the last. */
export const strikeAtRandom = (ms: number) => async (rig: Rig, random: Random) => {
  const until = Date.now() + ms;
  while (Date.now() < until) {
    const blow = BLOWS[Math.floor(random() * BLOWS.length)];
    const worker = rig.workers[Math.floor(random() * rig.workers.length)];
    if (blow && worker) await blow(rig, worker);
    await pause(MAX_PAUSE_MS * random());
  }
  return Date.now();
};
