import { runProgram } from "../shared/process.ts";
import { workerEnv } from "./config.ts";
import { startWorker } from "./lifecycle.ts";

await runProgram({
  name: "worker",
  what: "The worker: holds the Socket.io connection to the CAD and delivers what the functions accepted, in order.",
  env: workerEnv,
  start: (config, log) => startWorker({ config, random: Math.random, log }),
});
