import { z } from "zod";
import { parseConfig } from "../../../shared/config/config.ts";
import { createLog } from "../../../shared/util/log.ts";
import { fromDisk } from "../../../shared/config/program.ts";
import { workerEnv } from "../../../worker/config/worker-env.ts";
import { loadRoutes } from "../../../worker/destinations/routes.ts";
import { startWorker } from "../../../worker/runtime/lifecycle.ts";
import { BROADCAST_EVENT } from "./cad.ts";
import { createEventClock, type TakerQuestions } from "./event-times.ts";
import { serve } from "../load/helper.ts";

/** The worker with one more handler, which records when it gets an event. */
if (import.meta.main) {
  const { log } = createLog({ name: "worker", level: "warn" });
  const clock = createEventClock();
  const due = z.object({ dueMs: z.number() });
  const config = parseConfig(workerEnv, process.env, fromDisk);
  await startWorker({
    config,
    destinations: loadRoutes(config, process.env, fromDisk),
    handlers: [
      {
        name: "bench",
        what: "records when it gets an event",
        plan: ({ event, payload }) =>
          event === BROADCAST_EVENT ? async () => clock.came("handler", due.parse(payload).dueMs) : undefined,
      },
    ],
    random: Math.random,
    log,
  });
  serve<TakerQuestions>(clock.answers);
}
