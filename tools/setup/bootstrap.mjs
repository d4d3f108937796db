/**
 * node tools/setup/bootstrap.mjs SCRIPT.ts [arguments]
 *
 * Runs a script of this project on a machine that has git, npm and any Node from 20 on, and nothing else: installs
 * the dependencies if they are missing or stale, then runs SCRIPT under the project's own Node 24 (an npm package).
 * Plain JavaScript without dependencies, because nothing is installed yet when it starts.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { install, isInstalled } from "./install.mjs";
import { SetupError } from "./setup-error.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const NEEDS_NODE = 24;
/** One Ctrl-C arrives twice: from the terminal, and forwarded by npm. */
const SAME_SIGNAL_MS = 500;

const major = Number(process.versions.node.split(".")[0]);
const [script, ...args] = process.argv.slice(2);

try {
  if (major < 20)
    throw new SetupError(`This needs Node 20 or newer; this is ${process.version}.`, "https://nodejs.org");
  if (!script || script === "--help") {
    console.log("Usage: node tools/setup/bootstrap.mjs SCRIPT.ts [arguments]");
    process.exit(script ? 0 : 2);
  }
  if (!isInstalled(ROOT)) await install(ROOT);
  run(projectNode(), resolve(script), args);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(`\n${error.message}\n${error.hint}`);
  process.exit(1);
}

/** The Node 24 in node_modules; or this Node if it is new enough and that one does not run here (Alpine, NixOS). */
function projectNode() {
  const node = join(ROOT, "node_modules", ".bin", "node");
  if (existsSync(node) && spawnSync(node, ["--version"], { timeout: 10_000 }).status === 0) return node;
  if (major >= NEEDS_NODE) return process.execPath;
  throw new SetupError(
    `Node ${NEEDS_NODE}, which is installed with the dependencies, does not run: ${node}`,
    `If npm is told to ignore scripts, type: npm ci --ignore-scripts=false\nOtherwise install Node ${NEEDS_NODE} and try again.`,
  );
}

/**
 * In its own process group, so that a Ctrl-C in the terminal reaches it only through this process, once. Signals go to
 * the whole group, as a terminal's would.
 */
function run(node, file, argv) {
  // As npm does, so that scripts can call installed tools by name.
  const PATH = [join(ROOT, "node_modules", ".bin"), process.env["PATH"]].join(delimiter);
  const child = spawn(node, [file, ...argv], { stdio: "inherit", detached: true, env: { ...process.env, PATH } });
  const last = new Map();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      const now = Date.now();
      const repeated = now - (last.get(signal) ?? 0) < SAME_SIGNAL_MS;
      last.set(signal, now);
      if (!repeated) kill(child.pid, signal);
    });
  }
  child.on("error", (error) => {
    console.error(`Could not start ${node}: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

function kill(pid, signal) {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // It has just ended; its exit event follows.
  }
}
