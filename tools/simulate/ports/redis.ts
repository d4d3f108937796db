import { EventEmitter } from "node:events";
import { type Question, RedisNetwork } from "../world/redis-network.ts";
import { type Reply, ReplyError } from "../world/redis-server.ts";
import { type Scheduled, type Strike, theProcess } from "../world/world.ts";

/**
 * Stands in the place of the package `ioredis` in the simulation: connections that behave as its own do (in order, sent again
 * after a break or failed by it, given up after their time), while the world decides when what arrives.
 */

interface Options {
  commandTimeout?: number;
  socketTimeout?: number;
  /** null: what a break left without an answer is sent again. */
  maxRetriesPerRequest?: number | null;
  enableOfflineQueue?: boolean;
}

interface Sent {
  question: Question;
  resolve(reply: unknown): void;
  reject(error: Error): void;
  timer: Scheduled | undefined;
  /** Answered, or given up. */
  over: boolean;
}

type Argument = string | number | readonly Argument[] | Readonly<Record<string, string | number>>;

const isList = (arg: Argument): arg is readonly Argument[] => Array.isArray(arg);
const flat = (args: readonly Argument[]): (string | number)[] =>
  args.flatMap((arg): (string | number)[] => {
    if (isList(arg)) return flat(arg);
    if (typeof arg === "object") return Object.entries(arg).flatMap(([name, value]) => [name, value as string]);
    return [arg];
  });

/** ioredis makes an object of this one answer. */
const formed = (name: string, reply: Reply): unknown =>
  name === "hgetall" && Array.isArray(reply)
    ? Object.fromEntries(Array.from({ length: reply.length / 2 }, (_, i) => [reply[2 * i], reply[2 * i + 1]]))
    : reply;

/** A break is noticed, and a new connection made, after so long at least, ms. */
const RECONNECT_MS = 50;

function openConnection(options: Options) {
  const process = theProcess();
  const { world } = process;
  const network = world.part(RedisNetwork);
  const emitter = new EventEmitter();
  emitter.on("error", () => undefined);
  const name = `${process.name} redis`;
  let status = "connecting";
  /** Of the present connection: what was sent on an earlier one gets no reply. */
  let generation = 0;
  let flight: Sent[] = [];
  let offline: Sent[] = [];
  let lastArrival = 0;
  let lastReply = 0;

  const line = { process, cut };
  network.lines.add(line);
  process.onDeath.push(() => network.lines.delete(line));

  function connect(ms: number): void {
    const at = Math.max(
      world.now + ms,
      network.reachableAt(process) + RECONNECT_MS * (1 + world.roll(`${name} reconnects`)),
    );
    const mine = (generation += 1);
    world.after(at - world.now, "", process, () => {
      if (mine !== generation || status === "end") return;
      if (world.now < network.reachableAt(process)) return connect(RECONNECT_MS);
      status = "ready";
      emitter.emit("ready");
      const again = [...flight, ...offline].filter((sent) => !sent.over);
      flight = [];
      offline = [];
      for (const sent of again) send(sent);
    });
  }

  function cut(ms: number): void {
    if (status === "end") return;
    const wasReady = status === "ready" || status === "stalled";
    status = "reconnecting";
    if (options.maxRetriesPerRequest === 0) {
      for (const sent of flight) fail(sent, new Error("Connection is closed."));
      flight = [];
    }
    if (wasReady) world.after(0, "", process, () => void emitter.emit("close"));
    connect(ms);
  }

  function fail(sent: Sent, error: Error): void {
    if (sent.over) return;
    sent.over = true;
    sent.timer?.cancel();
    world.after(0, "", process, () => sent.reject(error));
  }

  function ask(question: Question): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const sent: Sent = { question, resolve, reject, timer: undefined, over: false };
      if (options.commandTimeout !== undefined)
        sent.timer = world.after(options.commandTimeout, "", process, () => {
          sent.over = true;
          reject(new Error("Command timed out"));
        });
      if (status === "ready") return send(sent);
      if (status === "stalled") return void offline.push(sent);
      if (status === "end") return fail(sent, new Error("Connection is closed."));
      if (options.enableOfflineQueue === false)
        return fail(sent, new Error("Stream isn't writeable and enableOfflineQueue options is false"));
      offline.push(sent);
    });
  }

  function send(sent: Sent): void {
    flight.push(sent);
    const mine = generation;
    lastArrival = Math.max(world.now + world.delay(`${name} to`), lastArrival);
    world.after(lastArrival - world.now, "", undefined, () => arrive(sent, mine));
  }

  /** It has reached Redis, whether or not its sender still runs. */
  async function arrive(sent: Sent, mine: number): Promise<void> {
    if (mine !== generation) return;
    const { question } = sent;
    if (process.life === "dead") {
      // Whether it had left before the end is open.
      if (world.roll(`${name} of the dead`) < 0.5) await network.ask(process, question);
      return;
    }
    const strike = world.step(question.name);
    if (strike && strikesBefore(strike, sent)) return;
    const reply = await network.ask(process, question, strike);
    if (strike && strikesAfter(strike)) return;
    const slow = strike?.fault === "slow reply" ? strike.ms : 0;
    lastReply = Math.max(world.now + world.delay(`${name} from`) + slow, lastReply);
    world.after(lastReply - world.now, "", process, () => answer(sent, reply, mine));
    if (strike?.fault === "lost write")
      world.after(lastReply - world.now, "", undefined, () => network.restart(strike.ms));
    if (strike?.fault === "freeze") world.freeze(process, strike.ms);
  }

  /** True if it is not carried out now. */
  function strikesBefore({ fault, ms }: Strike, sent: Sent): boolean {
    if (fault === "crash before") world.kill(process);
    else if (fault === "cut before") cut(ms);
    else if (fault === "partition") network.partition(process, ms);
    else if (fault === "late") {
      // It lies somewhere on the way, and is carried out when nobody waits for it any more; the connection counts as dead before.
      const { question } = sent;
      world.after(ms, "", undefined, async () => void (await network.ask(process, question)));
      world.after(Math.min(ms, options.socketTimeout ?? ms), "", undefined, () => cut(0));
      generation += 1;
      status = "stalled";
    } else return false;
    return true;
  }

  /** True if nobody hears the answer. */
  function strikesAfter({ fault, ms }: Strike): boolean {
    if (fault === "crash after") world.kill(process);
    else if (fault === "lost reply") cut(ms);
    else if (fault === "redis restart") network.restart(ms);
    else return false;
    return true;
  }

  function answer(sent: Sent, reply: Reply, mine: number): void {
    if (mine !== generation || sent.over) return;
    flight = flight.filter((each) => each !== sent);
    sent.over = true;
    sent.timer?.cancel();
    if (reply instanceof ReplyError) sent.reject(reply);
    else sent.resolve(formed(sent.question.name, reply));
  }

  function end(): void {
    status = "end";
    generation += 1;
    network.lines.delete(line);
  }

  /** Gathers commands, and carries them out as one. */
  function multi() {
    const commands: (string | number)[][] = [];
    const chain: unknown = new Proxy(
      {},
      {
        get(_, command) {
          if (command === "exec")
            return async () => {
              const replies = (await ask({ name: "multi", args: [JSON.stringify(commands)] })) as Reply[];
              return replies.map((reply) => [null, reply]);
            };
          return (...args: Argument[]) => {
            commands.push([String(command), ...flat(args)].map(String));
            return chain;
          };
        },
      },
    );
    return chain;
  }

  connect(world.delay(`${name} connects`));

  const own: Record<string, unknown> = {
    options,
    isCluster: false,
    multi,
    defineCommand(script: string, { numberOfKeys, lua }: { numberOfKeys: number; lua: string }) {
      own[script] = (...given: Argument[]) => {
        const all = flat(given);
        return ask({ name: script, lua, keys: all.slice(0, numberOfKeys).map(String), args: all.slice(numberOfKeys) });
      };
    },
    quit: async () => (end(), "OK"),
    disconnect: end,
  };
  for (const method of ["on", "once", "off", "removeListener", "removeAllListeners", "emit"] as const)
    own[method] = (emitter[method] as (...args: unknown[]) => unknown).bind(emitter);
  return new Proxy(own, {
    get(target, key) {
      if (typeof key !== "string" || key === "then" || key === "stream") return undefined;
      if (key === "status") return status === "stalled" ? "ready" : status;
      return (target[key] ??= (...args: Argument[]) => ask({ name: key, args: flat(args) }));
    },
  });
}

/** `new` answers what a function answers that it is used with. */
export function Redis(_url: string, options: Options) {
  return openConnection(options);
}

export function Cluster(): never {
  throw new Error("the simulation has no cluster");
}
