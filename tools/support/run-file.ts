import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SetupError } from "../setup/setup-error.ts";
import { commandLineOf, endLeftover } from "./leftover.ts";
import type { Tokens } from "./tokens.ts";

/** What a running `npm run up` is, for replay and for the next `up`; .run/up.json, readable by its owner only. */
export interface RunFile {
  pid: number;
  /** Of the processes that it started, each with a part of its command line to know it by. */
  children: { name: string; pid: number; command: string }[];
  /** Absent until everything runs. */
  ready?: { url: string; simulatorUrl: string; servicesUrl: string; tokens: Tokens; logs: string };
}

const FILE = "up.json";
/** A part of the command line of an `up`, by which it is known from another process that got its number. */
const UP = "up.ts";

/**
 * Says that this process is the one `up` of this folder. Throws a SetupError if another one runs; ends what a dead
 * one has left behind.
 */
export async function claim(dir: string, log: (line: string) => void): Promise<void> {
  mkdirSync(dir, { recursive: true });
  const before = read(dir);
  if (before !== undefined) {
    if (commandLineOf(before.pid)?.includes(UP)) {
      throw new SetupError(
        `Another "npm run up" is running already (process ${before.pid}).`,
        `Stop it with Ctrl-C where it runs, or type: kill ${before.pid}`,
      );
    }
    for (const child of before.children.toReversed()) {
      if (await endLeftover(child.pid, child.command))
        log(`Ended ${child.name} (process ${child.pid}), left behind by an earlier run.`);
    }
    rmSync(join(dir, FILE), { force: true });
  }
  const mine = write(dir, { pid: process.pid, children: [] });
  try {
    linkSync(mine, join(dir, FILE));
  } catch (error) {
    throw new SetupError('Another "npm run up" is just starting.', "Wait for it, or try again.", { cause: error });
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Replaces what the file says, in one step. */
export function update(dir: string, content: RunFile): void {
  renameSync(write(dir, content), join(dir, FILE));
}

export const release = (dir: string): void => rmSync(join(dir, FILE), { force: true });

/** What runs; throws a SetupError if nothing does, or not yet. */
export function readRunning(dir: string): NonNullable<RunFile["ready"]> {
  const file = read(dir);
  if (file === undefined || !commandLineOf(file.pid)?.includes(UP)) {
    throw new SetupError(
      "No running bridge was found.",
      "Start one in another terminal: npm run up\nOr name one: --url URL, with an admin's token in BRIDGE_TOKEN_ADMIN.",
    );
  }
  if (file.ready === undefined)
    throw new SetupError('"npm run up" is still starting.', "Try again when it says that it is ready.");
  return file.ready;
}

function read(dir: string): RunFile | undefined {
  try {
    return JSON.parse(readFileSync(join(dir, FILE), "utf8")) as RunFile;
  } catch {
    return undefined;
  }
}

/** Into a temporary file, which is renamed into place. */
function write(dir: string, content: RunFile): string {
  const file = join(dir, `${FILE}.${process.pid}`);
  rmSync(file, { force: true });
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  return file;
}
