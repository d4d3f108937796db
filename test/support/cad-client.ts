import { type ChildProcess, fork } from "node:child_process";
import { onTestFinished } from "vitest";
import type { ConnectionStatus } from "../../worker/cad/connection.ts";

/** What the process of CAD connections says of itself, ten times a second. */
export interface Report {
  /** Which order to connect it follows. */
  order: number;
  /** Of a connection that is not ready, if there is one. */
  status: ConnectionStatus;
  /** Resident bytes, after a collection of garbage. */
  rss: number;
  /** Bytes that objects hold after the collection, on the heap and beside it: memory kept by the allocator does not count. */
  held: number;
}

export interface Order {
  order: number;
  url: string;
  connections: number;
  /** Connects again without a backoff. */
  atOnce: boolean;
}

export interface CadClient {
  /** Undefined until it has said something. Throws if the process has ended. */
  last(): Report | undefined;
}

let child: ChildProcess | undefined;
let last: Report | undefined;
let errors = "";
let orders = 0;

/** The worker's connection to a CAD, in a process of its own: what throws where nobody catches ends it. */
export function startCadClient(url: string, options: Partial<Order> = {}): CadClient {
  const order = (orders += 1);
  child ??= startProcess();
  child.send({ order, url, connections: 1, atOnce: false, ...options } satisfies Order);
  onTestFinished(() => void child?.send({ order, url: "", connections: 0, atOnce: false } satisfies Order));
  return {
    last() {
      if (child === undefined) throw new Error(`the process ended: ${errors}`);
      return last?.order === order ? last : undefined;
    },
  };
}

function startProcess(): ChildProcess {
  const started = fork(new URL("cad-client-process.ts", import.meta.url), {
    execArgv: ["--expose-gc"],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  errors = "";
  started.stderr?.on("data", (chunk: Buffer) => void (errors += chunk.toString()));
  started.on("message", (report: Report) => void (last = report));
  started.on("exit", () => void (child = undefined));
  return started;
}
