import { join, resolve } from "node:path";
import { BASE_PATH } from "../support/api.ts";
import { checkOrder, watchLedger } from "./cad-ledger.ts";
import { compareState } from "./compare-state.ts";
import { readArgs, runCli, UsageError, wholeNumber } from "../support/cli.ts";
import { readCsv, type CsvLine } from "./csv.ts";
import { expectedState } from "./expected-state.ts";
import { readSpeed, type Speed } from "./pace.ts";
import { showProgress } from "../support/progress.ts";
import { replay } from "./replay-run.ts";
import { readRunning } from "../support/run-file.ts";
import { REQUIRED_COLUMNS } from "./sffd-row.ts";
import { toCalls } from "./sffd.ts";
import { deliveredIds, summarize } from "./summary.ts";

const USAGE = `npm run replay -- FILE.csv [OPTIONS]

Replays a San Francisco Fire Department "Calls for Service" CSV (downloaded from DataSF; one day, not all years, since it is
sorted in memory) through the HTTP API of a running bridge. Prints the outcome of the commands, and compares the bridge's
state of every unit and incident with the file.

  --speed N|max   N times real time, such as 60; or as fast as possible (default max)
  --limit ROWS    only the first rows of the file
  --url URL       the bridge, such as http://127.0.0.1:8000, with an admin's token in BRIDGE_TOKEN_ADMIN and, to check the
                  order, the simulator's URL in SIMULATOR_URL (default: the bridge of "npm run up")
  --dir DIR       the directory of that "npm run up" (default .run)
  --help          print this help

Exit code 0 only if every command was confirmed or received, with no order violation, and the bridge's state matches the
file.
`;

const ROOT = resolve(import.meta.dirname, "../..");
const log = (line: string) => console.log(line);

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) return 0;
  const bridge = findBridge(options.url, options.dir, process.env);
  const lines: CsvLine[] = [];
  for await (const line of readCsv(options.file, REQUIRED_COLUMNS, options.limit)) lines.push(line);
  const { calls, good: responses, bad, rows } = toCalls(lines);
  const ledger = bridge.simulatorUrl === undefined ? undefined : await watchLedger(bridge.simulatorUrl);
  log(
    `${rows} rows become ${calls.length} commands to ${bridge.url}, at ${options.speed === "max" ? "full speed" : `${options.speed} times real time`}.`,
  );

  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => (interrupted.signal.aborted ? process.exit(130) : interrupted.abort()));
  }
  const progress = showProgress(calls.length, process.stdout.isTTY, log);
  const result = await replay(calls, { ...options, ...bridge, progress, signal: interrupted.signal }).finally(() =>
    progress.stop(),
  );
  const cad = await ledger?.().then(
    (report) => checkOrder(report, result.order, deliveredIds(result)),
    (error: Error) => error,
  );
  // A CAD that only receives completed transports does not broadcast them.
  const completions = [...result.accepted.values()].some(
    ({ call, settled }) => call.command === "transport/completed" && settled?.state === "confirmed",
  );
  const expected = expectedState(responses, completions);
  const state = await compareState(expected, { ...bridge, signal: interrupted.signal }).catch((error: Error) => error);
  const { good, text } = summarize({ rows, bad, calls: calls.length, result, state, ...(cad && { cad }) });
  log(`\n${text}`);
  return interrupted.signal.aborted ? 130 : good ? 0 : 1;
}

function readOptions():
  | { file: string; speed: Speed; limit: number; url: string | undefined; dir: string }
  | undefined {
  const { values, positionals } = readArgs(
    {
      allowPositionals: true,
      options: {
        speed: { type: "string", default: "max" },
        limit: { type: "string" },
        url: { type: "string" },
        dir: { type: "string", default: join(ROOT, ".run") },
        help: { type: "boolean", short: "h", default: false },
      },
    },
    "replay",
    process.env,
  );
  if (values.help) {
    log(USAGE);
    return undefined;
  }
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new UsageError(`Replay takes one file, not ${positionals.length}.`);
  const speed = readSpeed(values.speed);
  if (speed === undefined) throw new UsageError(`--speed must be a number over 0 or max, not "${values.speed}".`);
  const limit = values.limit === undefined ? Infinity : wholeNumber("limit", values.limit, 1, 1e9);
  // npm runs scripts in the project's folder; the path is relative to the user's.
  return {
    file: resolve(process.env["INIT_CWD"] ?? ".", file),
    speed,
    limit,
    url: values.url,
    dir: resolve(values.dir),
  };
}

/** The bridge at `url`, or the one that `npm run up` runs. */
function findBridge(url: string | undefined, dir: string, env: NodeJS.ProcessEnv) {
  if (url === undefined) {
    const { url: running, simulatorUrl, tokens } = readRunning(dir);
    return { url: running, simulatorUrl, token: tokens.admin };
  }
  const token = env["BRIDGE_TOKEN_ADMIN"];
  if (!token) throw new UsageError("With --url, an admin's token is needed in the environment as BRIDGE_TOKEN_ADMIN.");
  if (!URL.canParse(url)) throw new UsageError(`--url must be a URL such as http://127.0.0.1:8000, not "${url}".`);
  const trimmed = url.replace(/\/+$/, "");
  return {
    url: trimmed.endsWith(BASE_PATH) ? trimmed : trimmed + BASE_PATH,
    simulatorUrl: env["SIMULATOR_URL"]?.replace(/\/+$/, ""),
    token,
  };
}

await runCli(main);
