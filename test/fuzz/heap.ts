import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** What this process holds once all garbage is collected, MB. */
export function liveMegabytes(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed / 1e6;
}
