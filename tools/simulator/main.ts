import { type Cad, startCad } from "./cad.ts";
import { describeEnvironment, readEnvironment } from "./environment.ts";

const HELP = `A CAD simulator for the bridge: a Socket.io server that behaves like the real CAD.
It records what it receives, checks the order, and fails on request. It is controlled by HTTP on the same port:

  GET    /simulator/health
  GET    /simulator/ledger                   what was received, and whether its order was kept
  GET    /simulator/ledger?after=0&limit=100 the entries, page by page
  DELETE /simulator/ledger
  GET    /simulator/switches
  PATCH  /simulator/switches                 such as {"hang":true}
  GET    /simulator/store?after=0&limit=100  what its database wrote, in the order of the writes
  POST   /simulator/database/stop            its database stops while the process lives, and
  POST   /simulator/database/start           starts again
  POST   /simulator/incidents                {"incidentId":"…"}: creates one in the database, as the CAD's REST API does
  POST   /simulator/drop-connections

Environment:
${describeEnvironment()}
`;

/** EX_USAGE and EX_CONFIG of sysexits: a supervisor should not retry. */
const EXIT_USAGE = 64;
const EXIT_CONFIG = 78;

/** Starts the process; returns its exit code if it should not keep running. */
async function main(args: readonly string[]): Promise<number | undefined> {
  if (args.length > 0) {
    const asked = args[0] === "--help" || args[0] === "-h";
    process[asked ? "stdout" : "stderr"].write(asked ? HELP : "simulator takes no arguments except --help\n");
    return asked ? 0 : EXIT_USAGE;
  }
  const env = readEnvironment(process.env);
  if ("wrong" in env) {
    console.error(env.wrong);
    return EXIT_CONFIG;
  }
  let cad: Cad;
  try {
    cad = await startCad({
      token: env.SIMULATOR_TOKEN,
      port: env.SIMULATOR_PORT,
      host: env.SIMULATOR_HOST,
      character: env.SIMULATOR_CHARACTER,
      switches: env.SIMULATOR_SWITCHES,
      log: (message) => console.error(`simulator: ${message}`),
      onCrash(reason) {
        console.error(`simulator crashed, as the real CAD does: ${reason}`);
        process.exit(1);
      },
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    console.error(`simulator: ${message} (SIMULATOR_PORT, SIMULATOR_HOST)`);
    return 1;
  }
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      cad.stop().then(
        () => process.exit(0),
        (error: unknown) => {
          console.error("simulator: could not stop:", error);
          process.exit(1);
        },
      );
    });
  }
  console.log(`simulator listening on ${cad.url} (${cad.character})`);
  return undefined;
}

const exitCode = await main(process.argv.slice(2));
if (exitCode !== undefined) process.exitCode = exitCode;
