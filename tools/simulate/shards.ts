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
      const onMessage = (message: FromShard) => {
        if (message.what === "broken") reject(new Error(message.reason));
        else if (message.what === what) resolve(message as Extract<FromShard, { what: What }>);
        else return onOther(message);
        child.off("message", onMessage);
      };
      child.on("message", onMessage);
      void exited.then(([code]) => reject(new Error(`a process of the simulation ended with code ${String(code)}`)));
    });
  }
  const send = (message: ToShard) => void child.send(message);

  await hear("ready");
  return {
    async seeds(range, onFailure) {
      const done = hear("done", (message) => message.what === "failure" && onFailure(message.failure));
      send({ what: "seeds", ...range });
      return await done;
    },
    async schedule(one, onLine) {
      const done = hear("done", (message) => message.what === "line" && onLine(message.line));
      send({ what: "schedule", ...one });
      return await done;
    },
    async survey(range) {
      const surveyed = hear("surveyed");
      send({ what: "survey", ...range });
      return (await surveyed).steps;
    },
    async stop() {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}
