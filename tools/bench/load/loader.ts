import { serve } from "./helper.ts";
import { type Accepted, type ClosedLoop, closedLoop, type OpenLoop, openLoop, type Sent } from "./load.ts";

/** The services that send: a process of its own, so that its work shows in nobody else's times. */
export type LoaderQuestions = {
  closedLoop: { takes: ClosedLoop; answers: Accepted };
  openLoop: { takes: OpenLoop; answers: Sent };
};

if (import.meta.main) serve<LoaderQuestions>({ closedLoop, openLoop });
