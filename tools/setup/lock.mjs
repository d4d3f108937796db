/** A lock between processes: a file that holds its owner's process id. Plain JavaScript for Node 20. */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { SetupError } from "./setup-error.mjs";

const ASK_AGAIN_MS = 250;

/** Runs `task` under an exclusive lock. A dead owner's lock is taken over; waiting ends after `withinMs`. */
export async function withLock(file, withinMs, task) {
  const deadline = Date.now() + withinMs;
  for (let waiting = false; !take(file); waiting = true) {
    if (!waiting) console.log(`Waiting for another process that holds ${file} ...`);
    if (Date.now() > deadline) {
      throw new SetupError(
        `${file} is still locked after ${withinMs / 60_000} minutes.`,
        `If nothing uses it, type: rm ${file}`,
      );
    }
    await sleep(ASK_AGAIN_MS);
  }
  const release = () => rmSync(file, { force: true });
  process.once("exit", release);
  try {
    return await task();
  } finally {
    process.removeListener("exit", release);
    release();
  }
}

/** Linking a complete file into place is atomic: a lock is never visible without its owner. */
function take(file) {
  const mine = `${file}.${process.pid}.new`;
  writeFileSync(mine, String(process.pid));
  try {
    linkSync(mine, file);
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    removeStale(file);
    return false;
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Renaming is atomic, so only one process removes a stale lock; a live one is put back. */
function removeStale(file) {
  const owner = read(file);
  if (owner === undefined || isAlive(owner)) return;
  const aside = `${file}.${process.pid}`;
  try {
    renameSync(file, aside);
    if (read(aside) !== owner) linkSync(aside, file);
  } catch (error) {
    if (error.code !== "ENOENT" && error.code !== "EEXIST") throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

/** undefined: no such file. */
function read(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

function isAlive(owner) {
  const pid = Number(owner);
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
