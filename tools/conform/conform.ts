import { parseArgs } from "node:util";
import { z } from "zod";
import { loadCads } from "../../shared/cads/load.ts";
import { ConfigError, EX_CONFIG, helpText, parseConfig, sharedEnv } from "../../shared/config/config.ts";
import { fromDisk } from "../../shared/config/program.ts";
import { withoutCredentials } from "../../shared/health/worker-health.ts";
import { endpointEnv, endpointOf } from "../../worker/cad/endpoint.ts";
import { workerEnv } from "../../worker/config/worker-env.ts";
import { overlay } from "../../worker/fleet/overlay.ts";
import { chosenCad, refuseCad } from "../support/several-cads.ts";
import { TokenRefused } from "./cad/authenticate.ts";
import { NoConnection } from "./cad/client.ts";
import { reportText } from "./report.ts";
import { runProbes } from "./run-probes.ts";

/** Codes of sysexits.h, and 128 + SIGINT. */
const EXIT = { graded: 0, usage: 64, unavailable: 69, refused: 77, interrupted: 130 } as const;

const WHAT = `npm run conform -- URL [options]    tests how a CAD confirms, keeps order and recovers

  --write           allow changes to the CAD's data; without it nothing is changed, and events are not tested
  --unit ID         a unit that the CAD knows, set aside for tests: its status and position change
  --incident ID     an incident that the CAD knows, set aside for tests
  --cad ID          the CAD of CADS_FILE, in place of a URL
  --json            print the report as JSON

Every wait has a deadline; a run takes two minutes at most. Progress goes to standard error.
Exit codes: ${EXIT.graded} graded, ${EXIT.usage} wrong arguments, ${EXIT.unavailable} no Socket.IO server answers, ${EXIT.refused} the token was refused, ${EX_CONFIG} wrong environment, ${EXIT.interrupted} Ctrl-C.`;

const schema = z.object({
  CAD_BACKEND_URL: workerEnv.shape.CAD_BACKEND_URL,
  CAD_BACKEND_AUTH_TOKEN: workerEnv.shape.CAD_BACKEND_AUTH_TOKEN,
  ...endpointEnv,
});

const files = z.object({ CADS_FILE: sharedEnv.CADS_FILE, REDIS_PREFIX: sharedEnv.REDIS_PREFIX });

const print = (line: string) => void process.stderr.write(`${line}\n`);

function readCommandLine() {
  return parseArgs({
    allowPositionals: true,
    options: {
      help: { type: "boolean" },
      write: { type: "boolean", default: false },
      cad: { type: "string" },
      json: { type: "boolean", default: false },
      unit: { type: "string" },
      incident: { type: "string" },
    },
  });
}

async function main(): Promise<number> {
  let given: ReturnType<typeof readCommandLine>;
  try {
    given = readCommandLine();
  } catch (error) {
    print(`conform: ${(error as Error).message}`);
    return EXIT.usage;
  }
  const { values, positionals } = given;
  if (values.help) {
    process.stdout.write(helpText(WHAT, schema));
    return EXIT.graded;
  }
  if (positionals.length > (values.cad === undefined ? 1 : 0)) {
    print("conform: one URL at most, or --cad; see --help");
    return EXIT.usage;
  }
  const [url = process.env["CAD_BACKEND_URL"]] = positionals;
  const interrupted = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => interrupted.abort());
  try {
    const config = parseConfig(schema, environmentOf(values.cad, url), fromDisk);
    const running = runProbes({
      endpoint: endpointOf(config),
      token: config.CAD_BACKEND_AUTH_TOKEN,
      unit: values.unit,
      incident: values.incident,
      write: values.write,
      signal: interrupted.signal,
      shownUrl: withoutCredentials(config.CAD_BACKEND_URL),
      progress: print,
    });
    const report = await unlessAborted(running, interrupted.signal);
    process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : reportText(report));
    return EXIT.graded;
  } catch (error) {
    return exitCodeOf(error, interrupted.signal);
  }
}

/** With --cad, as the worker has it for that CAD of the file. Throws a ConfigError. */
function environmentOf(id: string | undefined, url: string | undefined): Record<string, string | undefined> {
  const own = { ...process.env, CAD_BACKEND_URL: url };
  if (id === undefined) return own;
  const { CADS_FILE: file, REDIS_PREFIX: prefix } = parseConfig(files, process.env, fromDisk);
  if (file === undefined) {
    refuseCad(id);
    return own;
  }
  return overlay(chosenCad(loadCads(file, prefix, fromDisk), id), process.env);
}

function unlessAborted<T>(running: Promise<T>, signal: AbortSignal): Promise<T> {
  running.catch(() => undefined);
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(new Error("interrupted")), { once: true });
    running.then(resolve, reject);
  });
}

function exitCodeOf(error: unknown, signal: AbortSignal): number {
  if (signal.aborted) {
    print("conform: interrupted; the connection is closed");
    return EXIT.interrupted;
  }
  if (error instanceof ConfigError) {
    print(`conform: ${error.message}`);
    return EX_CONFIG;
  }
  if (error instanceof TokenRefused || (error instanceof NoConnection && error.fault.code === "refused")) {
    print(`conform: the CAD refused the token: ${error.message}`);
    return EXIT.refused;
  }
  if (error instanceof NoConnection) {
    print(`conform: no Socket.IO server can be reached: ${error.message}`);
    return EXIT.unavailable;
  }
  throw error;
}

process.exit(await main());
