import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import { afterAll, onTestFinished } from "vitest";
import { aptInstall } from "../../tools/setup/apt.ts";

const PATHS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  ...["--disable-component-update", "--disable-sync"],
];

const installed = () => process.env["CHROMIUM"] ?? PATHS.find((path) => existsSync(path));

/** The browser of this machine; on Debian as root it is installed if there is none. Else: why there is none. */
async function findChromium(): Promise<{ path: string } | { missing: string }> {
  let path = installed();
  if (path === undefined && existsSync("/etc/debian_version") && process.getuid?.() === 0) {
    await aptInstall("chromium").catch(() => undefined);
    path = installed();
  }
  if (path !== undefined) return { path };
  return { missing: `no Chromium at ${PATHS.join(", ")}: install the package chromium, or set CHROMIUM to its path` };
}

let shared: Promise<Browser> | undefined;
afterAll(async () => await (await shared)?.close());

const launch = async (path: string) => await chromium.launch({ executablePath: path, args: FLAGS, timeout: 60_000 });

/** A browser that the tests of a file share, each with pages of its own; see openBrowser. */
export async function sharedBrowser(skip: (reason: string) => never): Promise<Browser> {
  const found = await findChromium();
  if ("missing" in found) return skip(found.missing);
  return await (shared ??= launch(found.path));
}

/** A browser for one test, which is skipped, with the reason, where there is none. */
export async function openBrowser(skip: (reason: string) => never): Promise<Browser> {
  const found = await findChromium();
  if ("missing" in found) return skip(found.missing);
  const browser = await launch(found.path);
  onTestFinished(() => browser.close());
  return browser;
}
