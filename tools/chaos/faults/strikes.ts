import { setTimeout as pause } from "node:timers/promises";
import type { Random } from "../../simulator/random.ts";
import { startAttacker } from "./attacker.ts";
import type { Direction } from "../rig/proxy.ts";
import type { Rig } from "../rig/rig.ts";
import { lastStart } from "../rig/worker-log.ts";

/** The single faults. Each undoes itself and resolves to the time from which recovery is measured, ms since 1970. */

export const killOwner = (signal: "SIGKILL" | "SIGTERM") => async (rig: Rig) => {
  const { service } = rig.owner();
  const since = Date.now();
  await service.kill(signal);
  await untilTakenOver(rig, since);
  await service.start();
  return since;
};

export const restartOwner = (signal: "SIGKILL" | "SIGTERM") => async (rig: Rig) => {
  const { service, log } = rig.owner();
  await service.kill(signal);
  await service.start();
  return lastStart(log);
};

export async function killTwice(rig: Rig): Promise<number> {
  const { service, log } = rig.owner();
  for (const wait of [1500, 0]) {
    await service.kill("SIGKILL");
    await service.start();
    await pause(wait);
  }
  return lastStart(log);
}

/** A standby takes over on its own schedule: waits for it before the killed process is restarted. */
async function untilTakenOver(rig: Rig, since: number): Promise<void> {
  const until = since + 8000;
  while (Date.now() < until && (rig.lease.changes.at(-1)?.seen ?? 0) < since) await pause(20);
}

export async function cutWithTwoWorkers(rig: Rig): Promise<number> {
  for (let i = 0; i < 5; i += 1) {
    await pause(1500);
    await rig.runRedisCommand("CLIENT", "KILL", "TYPE", "normal");
    if (i === 2) await rig.dropCadConnections();
  }
  return Date.now();
}

export async function freezeOwner(rig: Rig): Promise<number> {
  const { service } = rig.owner();
  const from = Date.now();
  await service.kill("SIGSTOP");
  await pause(30_000);
  rig.stalls.push({ from, to: Date.now(), acceptedBefore: from });
  await service.kill("SIGCONT");
  await pause(2000);
  return from;
}

export async function killFunctions(rig: Rig): Promise<number> {
  for (const { service } of rig.functions) {
    await service.kill("SIGKILL");
    await pause(500);
    await service.start();
    await pause(1000);
  }
  return Date.now();
}

export async function redisAway(rig: Rig, signal: "SIGKILL" | "SIGTERM", ms: number): Promise<number> {
  await rig.redis.kill(signal);
  await pause(ms);
  return await rig.redis.start();
}

export async function freezeRedis(rig: Rig): Promise<number> {
  await rig.redis.kill("SIGSTOP");
  await pause(5000);
  const since = Date.now();
  await rig.redis.kill("SIGCONT");
  return since;
}

export async function fillRedis(rig: Rig): Promise<number> {
  await rig.runRedisCommand("CONFIG", "SET", "maxmemory", "1mb");
  await pause(4000);
  await rig.runRedisCommand("CONFIG", "SET", "maxmemory", "0");
  return Date.now();
}

export async function killCad(rig: Rig): Promise<number> {
  await rig.cad.kill("SIGKILL");
  await pause(1000);
  return await rig.cad.start();
}

export async function freezeCad(rig: Rig, ms: number): Promise<number> {
  const from = Date.now();
  await rig.cad.kill("SIGSTOP");
  await pause(ms);
  const to = Date.now();
  rig.stalls.push({ from, to, acceptedBefore: to });
  await rig.cad.kill("SIGCONT");
  return to;
}

export async function refuseToken(rig: Rig): Promise<number> {
  await rig.switchCad({ refuseToken: true });
  await rig.dropCadConnections();
  await pause(6000);
  const since = Date.now();
  await rig.switchCad({ refuseToken: false });
  return since;
}

export async function halfOpen(
  rig: Rig,
  line: "worker to CAD" | "worker to Redis" | "functions to Redis",
  directions: readonly Direction[],
  ms: number,
): Promise<number> {
  const owner = rig.owner();
  const proxies = {
    "worker to CAD": [owner.toCad],
    "worker to Redis": [owner.toRedis],
    "functions to Redis": rig.functions.map((f) => f.toRedis),
  }[line];
  for (const proxy of proxies) proxy.swallow(directions);
  await pause(ms);
  const since = Date.now();
  for (const proxy of proxies) proxy.heal();
  return since;
}

export const silenceHalf = (which: "odd" | "even") => async (rig: Rig) => {
  const since = Date.now();
  rig.owner().toRedis.swallowHalf(which);
  await pause(8000);
  return since;
};

export async function cutOwnerOff(rig: Rig): Promise<number> {
  const since = Date.now();
  await halfOpen(rig, "worker to Redis", ["to-server", "to-client"], 12_000);
  return since;
}

const HOUR_MS = 3_600_000;

export async function jumpClock(rig: Rig): Promise<number> {
  for (const offset of [HOUR_MS, -HOUR_MS, 0]) {
    rig.shiftClock(offset);
    await pause(3000);
  }
  return Date.now();
}

/** The service with all events; the other one must not be affected. */
const STRUCK = "everything";

export async function serviceAway(rig: Rig): Promise<number> {
  await rig.services.away(STRUCK, 6000);
  return Date.now();
}

/** Makes the service fail `share` percent of its requests, in several ways. */
export const serviceFails = (share: number) => async (rig: Rig, random: Random) => {
  rig.services.answer(STRUCK, () => (random() < share ? (random() < 0.2 ? "hang" : 500) : 204));
  await pause(6000);
  rig.services.answer(STRUCK, 204);
  return Date.now();
};

export async function serviceHangs(rig: Rig): Promise<number> {
  rig.services.answer(STRUCK, "hang");
  await pause(6000);
  rig.services.answer(STRUCK, 204);
  return Date.now();
}

export async function serviceBusy(rig: Rig): Promise<number> {
  rig.services.answer(STRUCK, { status: 429, headers: { "retry-after": "1" } });
  await pause(4000);
  rig.services.answer(STRUCK, 204);
  return Date.now();
}

/** Kills the worker while one of the services fails half of its requests. */
export async function killWhileServiceFails(rig: Rig, random: Random): Promise<number> {
  rig.services.answer(STRUCK, () => (random() < 0.5 ? 500 : 204));
  for (let i = 0; i < 2; i += 1) {
    await restartOwner("SIGKILL")(rig);
    await pause(1500);
  }
  rig.services.answer(STRUCK, 204);
  return Date.now();
}

/** Blows that strike while somebody floods and poisons all the while. */
export const underAttack =
  (...blows: readonly ((rig: Rig, random: Random) => Promise<unknown>)[]) =>
  async (rig: Rig, random: Random): Promise<number> => {
    const attack = startAttacker(rig, random);
    try {
      for (const blow of blows) {
        await pause(2000);
        await blow(rig, random);
      }
      await pause(2000);
    } finally {
      await attack.stop();
    }
    const { answers, frames } = attack;
    for (const status of [202, 401, 422])
      if (!answers.has(status)) throw new Error(`the attacker got no ${status}: ${[...answers.keys()].join(", ")}`);
    if (frames === 0) throw new Error("the attacker sent no frame");
    return Date.now();
  };
