import { serve } from "./helper.ts";
import { type Accepted, type ClosedLoop, closedLoop, type OpenLoop, openLoop, type Sent } from "./load.ts";

/** The load generator: a separate process, so that its work does not affect the measured times. */
export type LoaderQuestions = {
  closedLoop: { takes: ClosedLoop; answers: Accepted };
  openLoop: { takes: OpenLoop; answers: Sent };
};

if (import.meta.main) serve<LoaderQuestions>({ closedLoop, openLoop });
