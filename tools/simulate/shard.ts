import { replaceSurroundings } from "./hooks.ts";
import type { FromShard, ToShard } from "./messages.ts";
import { editOf } from "./mutants.ts";

/**
 * A process that runs schedules: the bridge's own code, with the surroundings of the simulation. A seeded bug is in it from the
 * beginning, since code is loaded once.
 */
const send = (message: FromShard) => void process.send?.(message);

async function main(): Promise<void> {
  const mutant = process.argv[2];
  const edit = mutant === undefined ? undefined : editOf(mutant);
  replaceSurroundings(edit?.edit);
  const { simulateGlobals } = await import("./world/globals.ts");
  simulateGlobals();
  const { openRunner } = await import("./runner.ts");
  const runner = await openRunner(send);
  edit?.check();
  process.on("message", (message: ToShard) => {
    runner.take(message).catch((error: unknown) => {
      send({ what: "broken", reason: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    });
  });
  process.once("disconnect", () => void runner.stop().finally(() => process.exit()));
  send({ what: "ready" });
}

main().catch((error: unknown) => {
  send({ what: "broken", reason: error instanceof Error ? error.message : String(error) });
  process.exitCode = 1;
  process.disconnect?.();
});
