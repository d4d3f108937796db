import { fromDisk, runProgram } from "../shared/config/program.ts";
import { endpointOf } from "./cad/endpoint.ts";
import { workerEnv } from "./config/worker-env.ts";
import { loadRoutes } from "./destinations/routes.ts";
import { startFleet } from "./fleet/fleet.ts";
import { fleetEnv, loadFleet } from "./fleet/load.ts";
import { startWorker } from "./runtime/lifecycle.ts";

const program = {
  name: "worker",
  what: "The worker: holds the Socket.io connection to the CAD and delivers what the functions accepted, in order.",
};

await (process.env["CADS_FILE"]
  ? runProgram({
      ...program,
      env: fleetEnv,
      async start(config, log) {
        return await startFleet({ config, cads: loadFleet(config, process.env, fromDisk), random: Math.random, log });
      },
    })
  : runProgram({
      ...program,
      env: workerEnv,
      async start(config, log) {
        // A certificate that cannot be used is refused now, and not once this worker owns the CAD.
        endpointOf(config);
        const worker = await startWorker({
          config,
          destinations: loadRoutes(config, process.env, fromDisk),
          random: Math.random,
          log,
        });
        return {
          ...worker,
          reload: (next) => worker.route(loadRoutes(next, process.env, fromDisk)),
          reloadRefused: (problems) => worker.refuseRoutes(problems.length),
        };
      },
    }));
