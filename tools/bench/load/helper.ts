import { type ChildProcess, fork } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { withDeadline } from "../../../shared/util/sleep.ts";

/** The requests a helper process accepts: for each, its argument and its answer. */
export type Questions = Record<string, { takes: unknown; answers: unknown }>;

/** A child process of the bench, called over Node's IPC channel; it ends with this process. */
export interface Helper<Q extends Questions> {
  pid: number;
  ask<Name extends keyof Q & string>(
    name: Name,
    takes: Q[Name]["takes"],
    withinMs: number,
  ): Promise<Q[Name]["answers"]>;
  /** Kills it at once, as a crash would. */
  stop(): Promise<void>;
}

type Question = { id: number; name: string; takes: unknown };
type Reply = { id: number; answer: unknown } | { id: number; error: string };
const READY_WITHIN_MS = 15_000;
const READY = 0;

/** Starts a helper and waits until it is ready. */
export async function startHelper<Q extends Questions>(
  script: string,
  output: string,
  env: Readonly<Record<string, string | undefined>> = {},
): Promise<Helper<Q>> {
  const file = openSync(output, "a");
  const child = fork(script, { env: { ...process.env, ...env }, stdio: ["ignore", file, file, "ipc"] });
  closeSync(file);
  const waiting = new Map<number, (reply: Reply) => void>();
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => {
      for (const [id, wake] of waiting) wake({ id, error: `the helper ended; see ${output}` });
      resolve();
    });
  });
  child.on("message", (reply: Reply) => waiting.get(reply.id)?.(reply));
  child.on("error", () => undefined); // callers get the error from its exit

  let asked = READY;
  async function answerTo(id: number, withinMs: number, what: string): Promise<unknown> {
    const reply = new Promise<Reply>((resolve) => waiting.set(id, resolve));
    const got = await withDeadline(reply, withinMs, what).finally(() => waiting.delete(id));
    if ("error" in got) throw new Error(`${what}: ${got.error}`);
    return got.answer;
  }
  await answerTo(READY, READY_WITHIN_MS, `starting ${script}`).catch((error: unknown) => end(child, exited, error));

  return {
    pid: child.pid ?? -1,
    ask(name, takes, withinMs) {
      const id = ++asked;
      child.send({ id, name, takes });
      return answerTo(id, withinMs, name);
    },
    stop: () => end(child, exited),
  };
}

async function end(child: ChildProcess, exited: Promise<void>, error?: unknown): Promise<void> {
  child.kill("SIGKILL");
  await exited;
  if (error !== undefined) throw error;
}

/** In the helper: answers requests until the parent exits. */
export function serve<Q extends Questions>(answers: {
  [Name in keyof Q]: (takes: Q[Name]["takes"]) => Promise<Q[Name]["answers"]> | Q[Name]["answers"];
}): void {
  process.on("disconnect", () => process.exit(0));
  process.on("message", (question: Question) => void answer(question));
  reply({ id: READY, answer: undefined });

  async function answer({ id, name, takes }: Question): Promise<void> {
    try {
      reply({ id, answer: await answers[name]?.(takes) });
    } catch (error) {
      reply({ id, error: String(error) });
    }
  }
}

const reply = (text: Reply) => process.send?.(text);
