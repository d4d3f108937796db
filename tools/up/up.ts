import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { isatty } from "node:tty";
import { howItEnded } from "../setup/process.ts";
import { readArgs, runCli, UsageError, wholeNumber } from "../support/cli.ts";
import { listenTo } from "./controls.ts";
import { playTenSteps } from "./play.ts";
import { claim, release, update, type RunFile } from "../support/run-file.ts";
import { startStack, type Stack } from "./stack.ts";
import { signTokens, type Tokens } from "../support/tokens.ts";

const USAGE = `npm run up [-- OPTIONS]

Starts a complete bridge: a Redis (or the one of REDIS_URL), a CAD simulator, a billing and an ePCR service that receive
webhooks, the functions and the worker. Plays ten steps of a call, from dispatch to back in service; for each step, prints
the command, the event, the new state and the webhooks. Leaves everything running until Ctrl-C.

  --once        exit after the ten steps; exit code 0 only if each was confirmed and produced the expected event, state
                and webhooks
  --port N      port of the HTTP API (default 8000)
  --cad NAME    modern (default): acks every event; legacy: never acks, confirms by its broadcasts only
  --edge        run the functions in workerd, as on Cloudflare Workers, instead of Node
  --controls    take commands such as "freeze worker" from standard input although it is no terminal
  --dir DIR     directory for Redis's data, the logs and the tokens (default .run)
  --help        print this help
`;

const ROOT = resolve(import.meta.dirname, "../..");
const log = (line: string) => console.log(line);

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) return 0;
  const stopping = stopSignal();
  await claim(options.dir, log);
  process.on("exit", () => release(options.dir));
  rmSync(join(options.dir, "logs"), { recursive: true, force: true });

  const running = await Promise.race([start(options), asked(stopping)]);
  if (running === "asked to stop") {
    log("Stopped while starting. No process is left.");
    return 130; // the started processes end with this one
  }
  const { stack, tokens } = running;
  try {
    const { good, steps } = await playTenSteps({ ...stack, tokens, cad: options.cad, log, signal: stopping });
    if (options.once) return stopping.aborted ? 130 : good === steps ? 0 : 1;
    if (!stopping.aborted) explain(stack, tokens, options);
    if (options.controls) void listenTo(process.stdin, stack.parts, log, stopping);
    const dead = await Promise.race([asked(stopping), stack.parts.died]);
    if (dead === "asked to stop") return 0;
    console.error(
      `\n${dead.name} exited unexpectedly (${howItEnded(await dead.exited)}). Last lines of ${shown(dead.output)}:\n${dead.tail()}`,
    );
    return 1;
  } finally {
    log("\nStopping everything ...");
    await stack.stop();
    log("Stopped. No process is left.");
  }
}

interface Options {
  once: boolean;
  port: number;
  cad: "modern" | "legacy";
  edge: boolean;
  /** Whether standard input is read for controls. */
  controls: boolean;
  dir: string;
}

/** undefined: --help was given and printed. */
function readOptions(): Options | undefined {
  const { values } = readArgs(
    {
      options: {
        once: { type: "boolean", default: false },
        port: { type: "string", default: "8000" },
        cad: { type: "string", default: "modern" },
        edge: { type: "boolean", default: false },
        controls: { type: "boolean", default: isatty(0) },
        dir: { type: "string", default: join(ROOT, ".run") },
        help: { type: "boolean", short: "h", default: false },
      },
    },
    "up",
    process.env,
  );
  if (values.help) {
    log(USAGE);
    return undefined;
  }
  const { cad } = values;
  if (cad !== "modern" && cad !== "legacy") throw new UsageError(`--cad must be modern or legacy, not "${cad}".`);
  const { once, edge, controls } = values;
  return { once, controls, port: wholeNumber("port", values.port, 1, 65_535), cad, edge, dir: resolve(values.dir) };
}

async function start(options: Options) {
  const began = Date.now();
  const jwtSecret = randomBytes(32).toString("base64url");
  const file: RunFile = { pid: process.pid, children: [] };
  const stack = await startStack({
    ...options,
    jwtSecret,
    log,
    onStarted({ name, pid }, command) {
      file.children.push({ name, pid, command });
      update(options.dir, file);
    },
  });
  const tokens = await signTokens(jwtSecret);
  const { url, simulatorUrl, servicesUrl } = stack;
  update(options.dir, { ...file, ready: { url, simulatorUrl, servicesUrl, tokens, logs: join(options.dir, "logs") } });
  log(`healthy    after ${((Date.now() - began) / 1000).toFixed(1)} s`);
  return { stack, tokens };
}

/** Aborts on the first Ctrl-C, SIGTERM or SIGHUP; the second one exits without a clean shutdown. */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(130);
      controller.abort();
    });
  }
  return controller.signal;
}

function asked(signal: AbortSignal): Promise<"asked to stop"> {
  return new Promise((heard) => {
    if (signal.aborted) heard("asked to stop");
    signal.addEventListener("abort", () => heard("asked to stop"), { once: true });
  });
}

const shown = (path: string) => relative(process.cwd(), path) || ".";

function explain({ url }: Stack, tokens: Tokens, { dir, controls }: Options): void {
  log(`
Admin page: ${url}/admin   (sign in with the admin's token below)
API docs:   ${url}/docs
Health:     ${url}/health
Logs:       ${shown(join(dir, "logs"))}

A token for each role, good for 24 hours:
${Object.entries(tokens)
  .map(([role, token]) => `  ${role.padEnd(10)} ${token}`)
  .join("\n")}

Try it (it answers when the CAD has confirmed):

  curl -sS ${url}/units/location -H 'Authorization: Bearer ${tokens.crew}' \\
    -H 'Content-Type: application/json' -H 'Prefer: wait=5' \\
    -d '{"unit_id":"M12","latitude":37.7841,"longitude":-122.4076}'

What the CAD says, and what is known from it:

  curl -sSN ${url}/events -H 'Authorization: Bearer ${tokens.dispatcher}'                       # as it comes
  curl -sS '${url}/events/history?event=unit:*&limit=5' -H 'Authorization: Bearer ${tokens.dispatcher}'
  curl -sS ${url}/units/M12 -H 'Authorization: Bearer ${tokens.crew}'
  curl -sS '${url}/incidents?limit=5' -H 'Authorization: Bearer ${tokens.dispatcher}'

What could not be delivered:

  curl -sS ${url}/dead-letters -H 'Authorization: Bearer ${tokens.admin}'

How the services are that the CAD's events go to:

  curl -sS ${url}/destinations -H 'Authorization: Bearer ${tokens.admin}'

Replay a day of the San Francisco Fire Department (a CSV of "Calls for Service" from DataSF) from another terminal:

  npm run replay -- FILE.csv --speed max

Everything is running. Ctrl-C stops it.${controls ? " Type help for how to rehearse faults, such as: freeze worker" : ""}`);
}

await runCli(main);
