import { renameSync, writeFileSync } from "node:fs";

/**
 * Loaded into the worker before its own code: on SIGUSR2 it collects the garbage and writes the live heap size to a file.
 * Resident memory alone would mostly show how lazy the collector is.
 */
const file = process.env["BENCH_HEAP_FILE"];
process.on("SIGUSR2", () => {
  global.gc?.();
  if (file === undefined) return;
  writeFileSync(`${file}.new`, String(process.memoryUsage().heapUsed));
  renameSync(`${file}.new`, file);
});
