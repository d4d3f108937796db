import type { LogLevel } from "../../../shared/util/log-levels.ts";
import { workerEnv, type WorkerConfig } from "../../../worker/config/worker-env.ts";
import { type Destination, loadRoutes } from "../../../worker/destinations/routes.ts";
import { DESTINATION_NAMES, routesFileOf } from "../../chaos/rig/routes.ts";

export const PREFIX = "sim";
export const REDIS_URL = "redis://simulation";

/** A worker's configuration. */
export const configOf = (instance: string, hold: boolean): WorkerConfig => ({
  ...workerEnv.parse({
    REDIS_URL,
    REDIS_PREFIX: PREFIX,
    LOG_LEVEL: "silent" satisfies LogLevel,
    CAD_BACKEND_URL: "http://cad.simulation",
    CAD_BACKEND_AUTH_TOKEN: "token",
    CAD_ID: "cad",
    WORKER_INSTANCE: instance,
    ...(hold && { HOLD: "units/status,incidents/status,incidents/timestamp,assignments/send" }),
  }),
  secretFiles: {},
});

const SERVICES = DESTINATION_NAMES.map((id) => ({
  ...{ id, url: `http://${id}.simulation/events` },
  secret: `whsec_${Buffer.alloc(32, 7).toString("base64")}`,
}));
const ROUTED = Array.from({ length: SERVICES.length + 1 }, (_, n) =>
  loadRoutes({ ROUTES_FILE: "routes", ALLOW_PRIVATE_DESTINATIONS: true }, {}, () => routesFileOf(SERVICES.slice(0, n))),
);

/** The first of the services that events go to. */
export const destinationsOf = (services: number): readonly Destination[] => ROUTED[services] ?? [];
