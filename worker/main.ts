import { fromDisk, runProgram } from "../shared/config/program.ts";
import { workerEnv } from "./config.ts";
import { loadRoutes } from "./destinations/routes.ts";
import { startWorker } from "./runtime/lifecycle.ts";

await runProgram({
  name: "worker",
  what: "The worker: holds the Socket.io connection to the CAD and delivers what the functions accepted, in order.",
  env: workerEnv,
  start: async (config, log) =>
    startWorker({ config, destinations: loadRoutes(config, process.env, fromDisk), random: Math.random, log }),
});
