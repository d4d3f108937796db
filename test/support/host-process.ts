import { join } from "node:path";
import { inject, onTestFinished } from "vitest";
import { freePort } from "../../tools/setup/free-port.ts";
import { startProcess, startProgram } from "../../tools/setup/process.ts";
import { wranglerDev } from "../../tools/setup/wrangler.ts";

/** The functions as a process of their own, on the host that the test is run for. Answers the URL of the API. */
export async function startHostProcess(dir: string, given: Readonly<Record<string, string>>): Promise<string> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/api/socket-bridge`;
  const options = {
    name: "functions",
    output: join(dir, "functions.log"),
    env: { ...given, LOG_FILE: undefined, PORT: String(port) },
    readyWhen: async ({ signal }: { signal: AbortSignal }) => (await fetch(`${url}/health`, { signal })).status > 0,
  };
  const wrangler = wranglerDev("127.0.0.1", port, "environment");
  const host =
    inject("host") === "edge"
      ? await startProgram({ ...options, ...wrangler, env: { ...options.env, ...wrangler.env } })
      : await startProcess({ ...options, script: "functions/hosts/node.ts" });
  onTestFinished(async () => void (await host.stop()));
  return url;
}
