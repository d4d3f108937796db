import { createRequire } from "node:module";
import { devNull } from "node:os";
import { dirname, join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../..");

/** Part of its command line, which identifies it. */
export const WRANGLER = join("wrangler", "wrangler-dist", "cli.js");

export interface WranglerDev {
  command: string;
  args: string[];
  env: Record<string, string>;
}

/**
 * `wrangler dev`: the edge host in the real workerd on this machine. Skips wrangler's launcher, so that signals reach the
 * process that stops workerd.
 * @param secretsFrom `environment`: ignores .dev.vars; the bindings of wrangler.toml come from the environment
 */
export function wranglerDev(host: string, port: number, secretsFrom: "environment" | ".dev.vars"): WranglerDev {
  const cli = join(dirname(createRequire(import.meta.url).resolve("wrangler/package.json")), "wrangler-dist", "cli.js");
  return {
    command: process.execPath,
    args: [
      "--no-warnings",
      ...[cli, "dev", "--config", join(ROOT, "wrangler.toml"), "--ip", host, "--port", String(port)],
      ...["--inspector-port", "0", "--show-interactive-dev-session=false"],
      // Secrets must not be on a command line, which every user of the machine can read.
      ...(secretsFrom === "environment" ? ["--env-file", devNull] : []),
    ],
    // No internet access: the bridge also runs where there is none.
    env: { WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false", NO_UPDATE_NOTIFIER: "1" },
  };
}
