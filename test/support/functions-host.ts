import { inject, onTestFinished } from "vitest";
import { functionsEnv } from "../../functions/config/node-config.ts";
import { startFunctions } from "../../functions/hosts/node.ts";
import { parseConfig } from "../../shared/config/config.ts";
import { freePort } from "../../tools/setup/free-port.ts";
import { JWT_SECRET } from "./bridge.ts";
import { keptLog } from "./log.ts";

/** A process of the functions more, which can be started again on its port. */
export async function startHost(prefix: string) {
  const port = await freePort();
  const env = { REDIS_URL: inject("redisUrl"), REDIS_PREFIX: prefix, JWT_SECRET, PORT: String(port) };
  const start = () => startFunctions(parseConfig(functionsEnv, env), keptLog().log);
  let host = await start();
  onTestFinished(() => host.stop());
  return {
    url: `http://127.0.0.1:${port}/api/socket-bridge`,
    stop: () => host.stop(),
    start: async () => void (host = await start()),
  };
}
