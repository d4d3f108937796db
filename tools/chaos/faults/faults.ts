import { setTimeout as pause } from "node:timers/promises";
import type { CharacterName } from "../../simulator/characters.ts";
import type { Random } from "../../simulator/random.ts";
import type { SwitchesPatch } from "../../simulator/switches.ts";
import { strikeAtRandom } from "./mixed.ts";
import type { Direction } from "../rig/proxy.ts";
import type { Rig } from "../rig/rig.ts";
import * as strikes from "./strikes.ts";

export interface Fault {
  name: string;
  what: string;
  cad: CharacterName;
  workers: 1 | 2;
  switches?: SwitchesPatch;
  /** Approximate duration, s. */
  seconds: number;
  /** How soon an emit must reach the CAD again: on any connection, or on one opened since. */
  recovery?: { withinMs: number; on: "any connection" | "a new connection"; since: string };
  /** Only in runs of at least this many minutes. */
  fromMinutes?: number;
  /** Part of --short. */
  short?: true;
  /** Injects the fault and undoes it; resolves to the time from which recovery is measured, ms since 1970. */
  strike(rig: Rig, random: Random): Promise<number>;
}

/** The CAD's own faults, active during all others. */
const TROUBLED: SwitchesPatch = { refuse: 0.03, dropAcks: 0.02, dropEchoes: 0.02 };
/** The worker reconnects to the CAD after at most 5 s, and an attempt may take 5 s if the network swallows it. */
const CAD_BACK_MS = 7000;
const NETWORK_BACK_MS = 15_000;
const REDIS_BACK_MS = 2000;
const TAKE_OVER_MS = 5000;

const redisBack = { withinMs: REDIS_BACK_MS, on: "any connection", since: "Redis's start" } as const;
const cadBack = { withinMs: CAD_BACK_MS, on: "a new connection", since: "the CAD's return" } as const;
const networkBack = { withinMs: NETWORK_BACK_MS, on: "any connection", since: "the network's healing" } as const;

const redisAway = (seconds: number, more: Partial<Fault> = {}): Fault => ({
  name: `Redis away for ${seconds} s`,
  what: `kill -9, restarted after ${seconds} s`,
  cad: "modern",
  workers: 1,
  seconds: 12 + seconds,
  recovery: redisBack,
  strike: (rig) => strikes.redisAway(rig, "SIGKILL", seconds * 1000),
  ...more,
});

const HALF_OPEN = {
  "worker to CAD": "the worker and the CAD",
  "worker to Redis": "the worker and Redis",
  "functions to Redis": "the functions and Redis",
} as const;

const halfOpen = (line: keyof typeof HALF_OPEN, directions: readonly Direction[], which: string): Fault => ({
  name: `half-open ${line}, ${which}`,
  what: `the network between ${HALF_OPEN[line]} drops ${which} for 12 s, and permanently on the connections that were open`,
  cad: "modern",
  workers: 1,
  seconds: 32,
  recovery: networkBack,
  strike: (rig) => strikes.halfOpen(rig, line, directions, 12_000),
});

/** Some connections carry the lease, others the queue: a worker may lead but never be woken for work. */
const silentHalf = (which: "odd" | "even"): Fault => ({
  name: `half of the worker's connections to Redis silent, ${which}`,
  what: `every other connection of the worker to Redis (the ${which} ones) stops responding permanently`,
  cad: "modern",
  workers: 1,
  seconds: 25,
  strike: strikes.silenceHalf(which),
});

/** Nothing to recover from: the CAD behaves like this for the whole run. */
const character = (
  name: string,
  what: string,
  cad: CharacterName,
  switches: SwitchesPatch,
  more: Partial<Fault> = {},
): Fault => ({
  name,
  what,
  cad,
  workers: 1,
  switches,
  seconds: 14,
  strike: async () => {
    await pause(5000);
    return Date.now();
  },
  ...more,
});

/** Faults in the event direction: commands must not be affected. */
const service = (name: string, what: string, strike: Fault["strike"], more: Partial<Fault> = {}): Fault => ({
  ...{ name, what, cad: "modern", workers: 1, seconds: 25, strike },
  ...more,
});

export const FAULTS: readonly Fault[] = [
  {
    name: "worker kill -9, another stands by",
    what: "the leader is killed; a standby takes over",
    cad: "modern",
    workers: 2,
    seconds: 15,
    recovery: { withinMs: TAKE_OVER_MS, on: "a new connection", since: "the kill" },
    short: true,
    strike: strikes.killOwner("SIGKILL"),
  },
  {
    name: "worker SIGTERM, another stands by",
    what: "the leader is stopped; a standby takes over",
    cad: "modern",
    workers: 2,
    seconds: 12,
    recovery: { withinMs: 2000, on: "a new connection", since: "the SIGTERM" },
    strike: strikes.killOwner("SIGTERM"),
  },
  {
    name: "worker kill -9, started again",
    what: "killed and restarted at once with the same instance name",
    cad: "modern",
    workers: 1,
    seconds: 12,
    recovery: { withinMs: 1000, on: "a new connection", since: "its word that it has started" },
    strike: strikes.restartOwner("SIGKILL"),
  },
  {
    name: "worker SIGTERM, started again",
    what: "stopped and restarted at once with the same instance name",
    cad: "legacy",
    workers: 1,
    seconds: 12,
    recovery: { withinMs: 1000, on: "a new connection", since: "its word that it has started" },
    strike: strikes.restartOwner("SIGTERM"),
  },
  {
    name: "two kills within seconds",
    what: "the worker is killed and restarted, and killed again 1.5 s later",
    cad: "legacy",
    workers: 1,
    seconds: 14,
    recovery: { withinMs: 1000, on: "a new connection", since: "its word that it has started" },
    strike: strikes.killTwice,
  },
  {
    name: "two workers at once",
    what: "with two workers; every connection to Redis is cut five times, the connection to the CAD once",
    cad: "modern",
    workers: 2,
    switches: TROUBLED,
    seconds: 18,
    short: true,
    strike: strikes.cutWithTwoWorkers,
  },
  {
    name: "worker frozen for 30 s",
    what: "SIGSTOP with a standby; it continues when the standby is the leader",
    cad: "modern",
    workers: 2,
    seconds: 44,
    recovery: { withinMs: TAKE_OVER_MS, on: "a new connection", since: "the freeze" },
    strike: strikes.freezeOwner,
  },
  {
    name: "functions kill -9",
    what: "one of two is killed and restarted, then the other",
    cad: "modern",
    workers: 1,
    seconds: 14,
    strike: strikes.killFunctions,
  },
  {
    name: "Redis SIGTERM",
    what: "stopped and restarted at once",
    cad: "modern",
    workers: 1,
    seconds: 12,
    recovery: redisBack,
    strike: (rig) => strikes.redisAway(rig, "SIGTERM", 0),
  },
  {
    name: "Redis kill -9",
    what: "killed and restarted at once",
    cad: "legacy",
    workers: 1,
    seconds: 12,
    recovery: redisBack,
    short: true,
    strike: (rig) => strikes.redisAway(rig, "SIGKILL", 0),
  },
  redisAway(1),
  redisAway(7),
  redisAway(30),
  redisAway(120, { fromMinutes: 15 }),
  {
    name: "Redis SIGSTOP for 5 s",
    what: "it stops responding with its connections open",
    cad: "modern",
    workers: 1,
    seconds: 17,
    recovery: redisBack,
    strike: strikes.freezeRedis,
  },
  {
    name: "Redis out of memory",
    what: "maxmemory is below the used memory for 4 s",
    cad: "modern",
    workers: 1,
    switches: { refuse: 0.03 },
    seconds: 16,
    strike: strikes.fillRedis,
  },
  {
    name: "CAD kill -9",
    what: "killed and restarted after 1 s; it has lost the command ids that it knew",
    cad: "legacy",
    workers: 1,
    seconds: 18,
    recovery: cadBack,
    short: true,
    strike: strikes.killCad,
  },
  {
    name: "CAD SIGSTOP for 10 s",
    what: "it stops responding, then continues with what its connections hold",
    cad: "legacy",
    workers: 1,
    seconds: 28,
    recovery: cadBack,
    strike: (rig) => strikes.freezeCad(rig, 10_000),
  },
  {
    name: "CAD SIGSTOP for 60 s",
    what: "the same for a minute",
    cad: "modern",
    workers: 1,
    seconds: 80,
    recovery: cadBack,
    strike: (rig) => strikes.freezeCad(rig, 60_000),
  },
  {
    name: "CAD refuses the token",
    what: "its connections are cut, and it refuses every handshake for 6 s",
    cad: "modern",
    workers: 1,
    seconds: 22,
    recovery: cadBack,
    strike: strikes.refuseToken,
  },
  character(
    "CAD slow",
    "every command takes it 0.2 to 1.5 s",
    "modern",
    { delayMs: { min: 200, max: 1500 } },
    { seconds: 25 },
  ),
  character("CAD nacks 3 %", "it refuses them for now", "modern", { refuse: 0.03 }),
  character("CAD drops 2 % of acks", "and of echoes", "modern", { dropAcks: 0.02, dropEchoes: 0.02 }),
  character("CAD drops 2 % of echoes", "and never acks", "legacy", { dropEchoes: 0.02 }, { seconds: 20 }),
  character("nacks, dropped acks and echoes", "3 % and 2 %", "modern", TROUBLED, { short: true }),
  halfOpen("worker to CAD", ["to-server", "to-client"], "both ways"),
  halfOpen("worker to CAD", ["to-server"], "what goes there"),
  halfOpen("worker to CAD", ["to-client"], "what comes back"),
  halfOpen("worker to Redis", ["to-server", "to-client"], "both ways"),
  halfOpen("worker to Redis", ["to-server"], "what goes there"),
  halfOpen("worker to Redis", ["to-client"], "what comes back"),
  silentHalf("odd"),
  silentHalf("even"),
  halfOpen("functions to Redis", ["to-server", "to-client"], "both ways"),
  {
    name: "half-open worker to Redis, another stands by",
    what: "the network between the leader and Redis drops everything for 12 s; a standby takes over",
    cad: "modern",
    workers: 2,
    seconds: 27,
    recovery: { withinMs: TAKE_OVER_MS, on: "a new connection", since: "the cut" },
    strike: strikes.cutOwnerOff,
  },
  {
    name: "a clock that jumps",
    what: "the clocks of the worker and the functions: an hour ahead, an hour back, then correct; 20 % nacks",
    cad: "modern",
    workers: 1,
    switches: { ...TROUBLED, refuse: 0.2 },
    seconds: 20,
    strike: strikes.jumpClock,
  },
  service("a service away", "nothing listens for 6 s where one of two services was", strikes.serviceAway),
  service(
    "a service fails",
    "one of two services fails 10 % of the requests: 500, or no answer",
    strikes.serviceFails(0.1),
  ),
  service("a service hangs", "one of two services answers nothing for 6 s", strikes.serviceHangs),
  service("a service busy", "one of two services answers 429 with Retry-After for 4 s", strikes.serviceBusy),
  service(
    "worker kill -9 twice, a service fails",
    "killed and started again, twice, while one of two services fails half of the time",
    strikes.killWhileServiceFails,
    { short: true },
  ),
  {
    name: "attacked",
    what: "a crew floods with its token, others without one, all with hostile bodies and costly reads, and hostile frames come between those of the CAD; meanwhile the leader is killed, the connections to CAD and Redis are cut, and the functions are killed",
    cad: "modern",
    workers: 2,
    switches: TROUBLED,
    seconds: 50,
    strike: strikes.underAttack(
      strikes.killOwner("SIGKILL"),
      async (rig) => rig.owner().toCad.cut(),
      async (rig) => rig.owner().toRedis.cut(),
      strikes.killFunctions,
      (rig) => strikes.redisAway(rig, "SIGKILL", 500),
    ),
  },
  {
    name: "mixed",
    what: "random kills, freezes, cuts and a full Redis, overlapping, for 40 s; with nacks and dropped acks",
    cad: "modern",
    workers: 2,
    switches: TROUBLED,
    seconds: 65,
    strike: strikeAtRandom(40_000),
  },
  {
    name: "mixed, legacy CAD",
    what: "the same with a CAD that never acks and knows no ids",
    cad: "legacy",
    workers: 2,
    switches: { dropEchoes: 0.02 },
    seconds: 65,
    strike: strikeAtRandom(40_000),
  },
];
