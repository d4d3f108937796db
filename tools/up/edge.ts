import { existsSync } from "node:fs";
import { functionsEnv } from "../../functions/config/node-config.ts";
import { edgeEnv } from "../../functions/hosts/edge/config.ts";
import { ConfigError, EX_CONFIG, helpText, parseConfig } from "../../shared/config/config.ts";
import { wranglerDev } from "../setup/wrangler.ts";

/** `npm run edge`: runs the functions in the real workerd, configured as on Node. Replaces this process by wrangler. */
const schema = edgeEnv.extend({ PORT: functionsEnv.shape.PORT, HOST: functionsEnv.shape.HOST });
const WHAT =
  "Runs the HTTP API in Cloudflare's workerd on this machine. A .dev.vars file replaces REDIS_URL and JWT_SECRET where they are not set.";

function main(): void {
  if (process.argv.includes("--help")) return void process.stdout.write(helpText(WHAT, schema, false));
  const { REDIS_URL, JWT_SECRET } = process.env;
  const fromFile = !REDIS_URL && !JWT_SECRET && existsSync(new URL("../../.dev.vars", import.meta.url));
  const { HOST, PORT } = fromFile
    ? parseConfig(schema.pick({ HOST: true, PORT: true }), process.env)
    : parseConfig(schema, process.env);
  const { command, args, env } = wranglerDev(HOST, PORT, fromFile ? ".dev.vars" : "environment");
  process.execve?.(command, [command, ...args], { ...process.env, ...env });
}

try {
  main();
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`edge: ${error.message}\n`);
  process.exitCode = EX_CONFIG;
}
