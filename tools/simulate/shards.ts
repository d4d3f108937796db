import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Failure, FromShard, ToShard } from "./messages.ts";
import type { Steps } from "./plan/steps.ts";

export type Done = Extract<FromShard, { what: "done" }>;
type Without<T> = Omit<T, "what">;

/** A process that runs schedules. */
export interface Shard {
  seeds(range: Without<Extract<ToShard, { what: "seeds" }>>, onFailure: (failure: Failure) => void): Promise<Done>;
  schedule(one: Without<Extract<ToShard, { what: "schedule" }>>, onLine: (line: string) => void): Promise<Done>;
  survey(range: { from: number; count: number }): Promise<Steps>;
  stop(): Promise<void>;
}

/**
 * Schedules are short, and much of the code runs a few hundred times in a process: compiled at once, and with room for young
 * objects, one takes two thirds of the CPU time (measured on 2026-11-28: 96 ms of Node instead of 143).
 */
const V8 = ["--always-sparkplug", "--max-semi-space-size=64"];

/** @param mutant the bug that is seeded into its code */
export async function startShard(mutant?: string): Promise<Shard> {
  const child = fork(join(import.meta.dirname, "shard.ts"), mutant === undefined ? [] : [mutant], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    execArgv: [...process.execArgv, ...V8],
  });
  const exited = once(child, "exit");

  /** Until it says one of these; an error if it ends, or is broken. */
  function hear<What extends FromShard["what"]>(
    what: What,
    onOther: (message: FromShard) => void = () => undefined,
  ): Promise<Extract<FromShard, { what: What }>> {
    return new Promise((resolve, reject) => {
      const onExit = () => reject(new Error(`a process of the simulation ended with code ${String(child.exitCode)}`));
      const onMessage = (message: FromShard) => {
        if (message.what === "broken") reject(new Error(message.reason));
        else if (message.what === what) resolve(message as Extract<FromShard, { what: What }>);
        else return onOther(message);
        child.off("message", onMessage);
        child.off("exit", onExit);
      };
      if (child.exitCode !== null) return onExit();
      child.on("message", onMessage);
      child.once("exit", onExit);
    });
  }
  let last: Promise<unknown> = Promise.resolve();
  /** One thing at a time: two runs in one process would share its Redis. */
  function inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = last.then(run);
    last = turn.catch(() => undefined);
    return turn;
  }
  const ask = <What extends FromShard["what"]>(message: ToShard, what: What, onOther?: (message: FromShard) => void) =>
    inTurn(() => {
      const answer = hear(what, onOther);
      child.send(message);
      return answer;
    });

  await hear("ready");
  return {
    seeds: (range, onFailure) =>
      ask({ what: "seeds", ...range }, "done", (said) => said.what === "failure" && onFailure(said.failure)),
    schedule: (one, onLine) =>
      ask({ what: "schedule", ...one }, "done", (said) => said.what === "line" && onLine(said.line)),
    survey: async (range) => (await ask({ what: "survey", ...range }, "surveyed")).steps,
    async stop() {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}
