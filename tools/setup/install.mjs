/** Installs the dependencies, only when they do not match package-lock.json. Plain JavaScript for Node 20. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { withLock } from "./lock.mjs";
import { SetupError } from "./setup-error.mjs";

const INSTALL_WITHIN_MS = 15 * 60_000;
const KEEP_OUTPUT = 16_000;

/** Inside node_modules, which `npm ci` removes first: a half-finished installation has no marker. */
const markerFile = (root) => join(root, "node_modules", ".installed-for");

function wanted(root) {
  try {
    const lock = readFileSync(join(root, "package-lock.json"));
    const hash = createHash("sha256").update(lock).digest("hex");
    return `${hash} ${process.platform} ${process.arch}\n`;
  } catch (error) {
    throw new SetupError(
      `package-lock.json cannot be read in ${root}: ${error.message}`,
      "Restore it: git checkout package-lock.json",
    );
  }
}

export function isInstalled(root) {
  const expected = wanted(root);
  try {
    return readFileSync(markerFile(root), "utf8") === expected;
  } catch {
    return isInstalledByHand(root);
  }
}

/**
 * Whether a plain `npm ci` or `npm install` installed the same versions, by npm's own list of installed packages.
 * Reinstalling would break programs that are running from them. Optional packages are missing on some platforms.
 */
function isInstalledByHand(root) {
  try {
    const packagesOf = (file) => JSON.parse(readFileSync(join(root, file), "utf8")).packages;
    const there = packagesOf(join("node_modules", ".package-lock.json"));
    return Object.entries(packagesOf("package-lock.json"))
      .filter(([path, { optional, devOptional }]) => path !== "" && !optional && !devOptional)
      .every(([path, { version }]) => there[path]?.version === version);
  } catch {
    return false;
  }
}

/** Safe to call from several processes: one installs, the others wait and find it done. */
export async function install(root) {
  const folder = join(root, ".run");
  mkdirSync(folder, { recursive: true });
  await withLock(join(folder, "install.lock"), INSTALL_WITHIN_MS, async () => {
    if (isInstalled(root)) return;
    const started = Date.now();
    const tick = progress("Installing dependencies with npm ci (about a minute the first time)");
    const { code, output, failed } = await npmCi(root).finally(() => tick.stop());
    if (code !== 0) throw explain(failed ?? output);
    writeFileSync(markerFile(root), wanted(root));
    console.log(`Installed dependencies in ${Math.round((Date.now() - started) / 1000)} s.`);
  });
}

/** A progress line, with the seconds passed on a terminal. */
function progress(text) {
  if (!process.stdout.isTTY) {
    console.log(`${text} ...`);
    return { stop() {} };
  }
  const started = Date.now();
  const show = () => process.stdout.write(`\r${text} ... ${Math.round((Date.now() - started) / 1000)} s`);
  show();
  const timer = setInterval(show, 1000);
  return {
    stop() {
      clearInterval(timer);
      process.stdout.write("\r\x1b[K");
    },
  };
}

/** The npm that runs this script, or the one on PATH. Its warnings are shown only on failure. */
async function npmCi(root) {
  const args = ["ci", "--include=dev", "--no-audit", "--no-fund", "--no-progress", "--loglevel=warn"];
  const npm = process.env["npm_execpath"];
  const [command, all] = npm && basename(npm) === "npm-cli.js" ? [process.execPath, [npm, ...args]] : ["npm", args];
  const child = spawn(command, all, { cwd: root, stdio: ["ignore", "pipe", "pipe"], timeout: INSTALL_WITHIN_MS });
  let output = "";
  const keep = (data) => (output = (output + data).slice(0, KEEP_OUTPUT));
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  // npm must end with this process: it must not continue without the lock.
  const stop = (signal) =>
    child.kill("SIGTERM") && child.once("close", () => process.exit(signal === "SIGINT" ? 130 : 143));
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.once(signal, stop);
  try {
    return await new Promise((resolve) => {
      child.on("error", (error) => resolve({ code: 1, output, failed: error.code ?? error.message }));
      child.on("close", (code) => resolve({ code, output }));
    });
  } finally {
    for (const signal of signals) process.removeListener(signal, stop);
  }
}

/** The first match decides the hint. */
const CAUSES = [
  [
    /^ENOENT$/,
    "npm is not installed.",
    "Install it (on Debian or Ubuntu: apt-get install npm; or https://nodejs.org), then try again.",
  ],
  [
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT/,
    "npm cannot reach its registry.",
    "Check the network (and the proxy: npm config get proxy; the registry: npm config get registry), then try again.",
  ],
  [/ENOSPC/, "The disk is full.", "Free about 1 GB, then try again."],
  [
    /EACCES|EPERM/,
    "npm has no permission to write here.",
    "Give yourself the folder (chown -R $(id -u) .), then try again.",
  ],
  [/can only install packages when/, "package.json and package-lock.json differ.", "Fix the lock file: npm install"],
];

function explain(output) {
  // The cause is at the beginning; npm may print its whole usage after it.
  const lines = output.split("\n").filter((line) => !/^\s*(npm (error|ERR!))?\s*$|^npm warn/i.test(line));
  const said = lines.slice(0, 10).join("\n");
  const [, what, hint] = CAUSES.find(([pattern]) => pattern.test(output)) ?? [
    null,
    "npm ci failed.",
    "For the full output, run: npm ci",
  ];
  return new SetupError(`Installing the dependencies failed: ${what}\n${said}`, hint);
}
