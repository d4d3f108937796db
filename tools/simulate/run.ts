import { noLog } from "../../shared/util/log.ts";
import { outboxKeys } from "../../shared/redis/keys.ts";
import type { Destination } from "../../worker/destinations/routes.ts";
import { startWorker } from "../../worker/runtime/lifecycle.ts";
import { startAdmin } from "./hosts/admin.ts";
import { CadHost } from "./hosts/cad-host.ts";
import { Clients } from "./hosts/client.ts";
import { strikesOf } from "./plan/faults.ts";
import { FunctionsHost } from "./hosts/functions-host.ts";
import { JobBoard } from "./world/job-board.ts";
import { checkRun, type Owner } from "./check/check-run.ts";
import { eventsAreThrough } from "./check/check-events.ts";
import { Probe } from "./world/probe.ts";
import { RedisNetwork } from "./world/redis-network.ts";
import type { RedisServer } from "./world/redis-server.ts";
import type { Schedule } from "./plan/schedule.ts";
import { ServiceHost } from "./hosts/service-host.ts";
import { configOf, destinationsOf, PREFIX } from "./hosts/settings.ts";
import { World } from "./world/world.ts";

/** After so long nothing strikes any more; after so much longer all must have come to rest, ms. */
const FAULTS_MS = 40_000;
const REST_MS = 200_000;
const LOOK_MS = 200;
/** At rest it must stay for so long: what is sent late is seen still, ms. */
const STAY_MS = 600;
/** A killed worker is started again after so long, from, to, ms. */
const RESTART_MS = [100, 5000] as const;
/** When a destination that was disabled is enabled, ms after that: the last is when nothing strikes any more. */
const ENABLE_MS = [2000, 6000, 15_000, FAULTS_MS + 2000];

export interface Ran {
  /** What is wrong, each in a line; empty if nothing is. */
  violations: string[];
  /** Of everything that happened, in its order. */
  digest: string;
  lines: number;
  /** How long it took in the simulation, ms. */
  simulatedMs: number;
  steps: ReadonlyMap<string, number>;
  struck: ReadonlyMap<string, number>;
}

/** @param onLine gets each line of what happens */
export async function runSchedule(
  schedule: Schedule,
  server: RedisServer,
  onLine?: (line: string) => void,
): Promise<Ran> {
  await server.clear();
  const world = new World({ seed: schedule.seed, strikeAt: strikesOf(schedule.faults), onLine });
  const network = world.add(new RedisNetwork(world, server));
  const board = world.add(new JobBoard(world));
  const cad = world.add(new CadHost(world, schedule.cad));
  const probe = world.add(new Probe());
  const destinations = destinationsOf(schedule.services ?? 0);
  const hold = schedule.hold ?? false;
  const services = world.add(new ServiceHost(world, destinations));
  const broken: string[] = [];
  const onUnhandled = (error: unknown) => {
    broken.push(
      `a process ends by an error that nobody handles: ${error instanceof Error ? error.stack : String(error)}`,
    );
  };
  process.on("unhandledRejection", onUnhandled);
  const owners: Owner[] = [];
  const neglected: string[] = [];
  network.watchers.push((owner, { name }, reply) => {
    if (name === "outboxMakeReady" && Number(reply) > 0 && world.struck.size === 0)
      neglected.push(`wake-up: only the sweep found ${Number(reply)} commands, although nothing had struck`);
    if (name === "journalComplete" && reply === 1) cad.owes = true;
    if (name === "leaseAcquire" && Array.isArray(reply) && reply[0] === "owner")
      owners.push({ worker: owner.name, after: world.epochMs(), seen: world.epochMs() });
  });

  for (let i = 1; i <= schedule.workers; i += 1) startOne(world, `worker-${i}`, { destinations, hold }, broken);
  const functions = new FunctionsHost(world);
  const clients = new Clients(world, functions, schedule.commands);
  if (hold) startAdmin(world, functions, clients);
  services.onGone.push((destination) => enableLater(world, functions, destination));
  for (const { at, event, payload } of schedule.events)
    world.after(at, "", undefined, () => cad.happen(event, payload));
  world.after(FAULTS_MS, "no more faults", undefined, () => world.calmDown());

  const keys = outboxKeys(PREFIX);
  let atRest = false;
  let over = false;
  const last = Math.max(0, ...schedule.events.map(({ at }) => at));
  /** Since when it has been at rest without a break, ms. */
  let restsSince = Infinity;
  const ids = destinations.map(({ id }) => id);
  const look = async () => {
    const jobs = board.counts(`${keys.queue.prefix} ${keys.queue.name}`);
    atRest = false;
    if (world.now > last && clients.isDone() && jobs.waiting + jobs.active + jobs.delayed === 0) {
      const left = await Promise.all([keys.open, keys.runnable, keys.held].map((key) => server.command("ZCARD", key)));
      const settled = left.every((count) => count === 0);
      atRest = settled && (await eventsAreThrough({ server, cad, probe, services, destinations: ids }));
    }
    restsSince = atRest ? Math.min(restsSince, world.now) : Infinity;
    over = world.now - restsSince >= STAY_MS;
    world.after(LOOK_MS, "", undefined, look);
  };
  world.after(LOOK_MS, "", undefined, look);
  try {
    await world.run(() => over || broken.length > 0, REST_MS);
    const violations = [
      ...broken,
      ...neglected,
      ...(await checkRun({
        ...{ world, server, board, cad, clients, owners, probe, services, keys, atRest },
        destinations: ids,
      })),
    ];
    const { now, steps, struck, lines } = world;
    return { violations, digest: world.digest(), lines, simulatedMs: now, steps, struck };
  } finally {
    for (const each of world.processes) if (each.life !== "dead") each.life = "dead";
    process.removeListener("unhandledRejection", onUnhandled);
  }
}

interface WorkerSettings {
  destinations: readonly Destination[];
  hold: boolean;
}

/** A worker as a supervisor keeps it: started again whenever it ends. */
function startOne(world: World, name: string, settings: WorkerSettings, broken: string[]): void {
  const { destinations, hold } = settings;
  const process = world.start(name, () => {
    const random = () => world.roll(`random of ${name}`);
    startWorker({
      ...{ config: configOf(name, hold), handlers: [world.part(Probe).handler()], destinations, random, log: noLog },
    }).then(
      (worker) => worker.failed.catch(() => world.after(0, "", undefined, () => world.kill(process))),
      (error: unknown) => broken.push(`${name} does not start: ${String(error)}`),
    );
  });
  process.onDeath.push(() => {
    world.after(world.between("restart", ...RESTART_MS), "", undefined, () => startOne(world, name, settings, broken));
  });
}

/** Somebody enables a destination that said it wants no more: again and again, as long as it may not have been heard. */
function enableLater(world: World, functions: FunctionsHost, destination: string): void {
  for (const ms of ENABLE_MS)
    world.after(ms, "", undefined, () =>
      functions.ask(
        {
          ...{ method: "POST", path: `/destinations/${destination}/enable`, user: "admin", role: "admin" },
          newId: `enable-${destination}-${ms}`,
        },
        () => undefined,
      ),
    );
}
