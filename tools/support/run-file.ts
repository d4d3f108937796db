import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SetupError } from "../setup/setup-error.ts";
import { commandLineOf, endLeftover } from "./leftover.ts";
import type { Tokens } from "./tokens.ts";

/** Describes a running `npm run up`, for replay and the next `up`; .run/up.json, readable by its owner only. */
export interface RunFile {
  pid: number;
  /** The started processes, each with part of its command line to identify it. */
  children: { name: string; pid: number; command: string }[];
  /** Absent until everything runs. */
  ready?: { url: string; simulatorUrl: string; servicesUrl: string; tokens: Tokens; logs: string };
}

const FILE = "up.json";
/** Part of the command line of an `up`, which tells it from another process that reused its pid. */
const UP = "up.ts";

/**
 * Claims this folder for this process's `up`. Throws a SetupError if another one runs; kills what a crashed one left
 * behind.
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

/** Replaces the file atomically. */
export function update(dir: string, content: RunFile): void {
  renameSync(write(dir, content), join(dir, FILE));
}

export const release = (dir: string): void => rmSync(join(dir, FILE), { force: true });

/** The running `up`; throws a SetupError if there is none, or it is not ready. */
export function readRunning(dir: string): NonNullable<RunFile["ready"]> {
  const file = read(dir);
  if (file === undefined || !commandLineOf(file.pid)?.includes(UP)) {
    throw new SetupError(
      "No running bridge was found.",
      "Start one in another terminal: npm run up\nOr give its URL: --url URL, with an admin's token in BRIDGE_TOKEN_ADMIN.",
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

/** Writes a temporary file, which is then renamed into place. */
function write(dir: string, content: RunFile): string {
  const file = join(dir, `${FILE}.${process.pid}`);
  rmSync(file, { force: true });
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  return file;
}
