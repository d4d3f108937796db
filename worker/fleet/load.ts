import { type Cad, loadCads } from "../../shared/cads/load.ts";
import { type Config, ConfigError, parseConfig } from "../../shared/config/config.ts";
import type { ReadSecret } from "../../shared/config/secret-files.ts";
import type { Fault } from "../../shared/util/issues.ts";
import { endpointOf } from "../cad/endpoint.ts";
import { type WorkerConfig, workerEnv } from "../config/worker-env.ts";
import { type Destination, loadRoutes } from "../destinations/routes.ts";
import { OF_ONE_CAD, overlay, placeOf } from "./overlay.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const alone = Object.fromEntries(OF_ONE_CAD.map((name) => [name, true])) as Record<(typeof OF_ONE_CAD)[number], true>;

/** The environment of a worker for several CADs: what is each CAD's own stands in the file. */
export const fleetEnv = workerEnv.omit(alone).extend({ CADS_FILE: workerEnv.shape.CADS_FILE.unwrap() });
export type FleetConfig = Config<typeof fleetEnv>;

/** A CAD with the configuration that a worker for it alone would have. */
export interface CadSettings {
  id: string;
  config: WorkerConfig;
  destinations: readonly Destination[];
}

/**
 * The CADs of the file, each with its configuration: that of the environment with what the file says in its place. Throws a
 * ConfigError that lists all that is wrong, each with its line.
 */
export function loadFleet(
  config: Pick<FleetConfig, "CADS_FILE" | "REDIS_PREFIX">,
  environment: Environment,
  read: ReadSecret,
): CadSettings[] {
  const settings: CadSettings[] = [];
  const misplaced = OF_ONE_CAD.flatMap((name) => [name, `${name}_FILE`]).filter((name) => environment[name]);
  const problems = misplaced.map(
    (name) => `${name}: is set, and so is CADS_FILE: what is one CAD's own stands in the file`,
  );

  function check(cad: Cad): Fault[] {
    const faults: Fault[] = [];
    const attempt = (what: () => void) => {
      try {
        what();
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        faults.push(...error.problems.map((problem) => toFault(cad, problem)));
      }
    };
    attempt(() => {
      const own = parseConfig(workerEnv, overlay(cad, environment), read);
      attempt(() => void endpointOf(own));
      attempt(() => settings.push({ id: cad.id, config: own, destinations: loadRoutes(own, environment, read) }));
    });
    return faults;
  }

  try {
    loadCads(config.CADS_FILE, config.REDIS_PREFIX, read, check);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return settings;
}

/** What is wrong with a variable, at the member of the file that it comes from. */
function toFault(cad: Cad, problem: string): Fault {
  const [, name = "", message = problem] = /^(\w+)(?:\.[\w.]+)?(?:, \w+)*: (.*)$/s.exec(problem) ?? [];
  const path = placeOf(cad, name);
  return path ? { path, message } : { path: [], message: problem };
}
