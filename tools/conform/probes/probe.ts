import type { CadEndpoint } from "../../../worker/cad/endpoint.ts";
import type { CadClient } from "../cad/client.ts";

/** `unknown`: not visible from outside, or not tried; `said` says which, and why. */
export type Verdict = "yes" | "no" | "partly" | "unknown";

/** One line of the report. */
export interface Grade {
  what: string;
  verdict: Verdict;
  said: string;
}

/** What one event of the bridge does at this CAD. */
export interface EventGrade {
  event: string;
  /** Which form of the payload, where there are several. */
  variant: string;
  acks: Verdict;
  echoes: Verdict;
  keepsId: Verdict;
  /** With an id that the CAD cannot know: does it answer all the same? */
  unknownId: "acked" | "echoed" | "refused" | "silent" | "not tried";
  /**
   * What the form of its answer suggests; no proof. A relay passes on what it was sent; a handler that stores makes its echo of what it
   * knows.
   */
  likely: "relay" | "store" | "unknown";
  proves: string;
  /** From the emit to the first answer, ms. */
  answerMs: number | null;
}

export interface ProbeContext {
  endpoint: CadEndpoint;
  token: string;
  /** Connected and authenticated. */
  client: CadClient;
  /** An id that the CAD knows; absent: none was named. */
  unit: string | undefined;
  incident: string | undefined;
  /** Whether what the CAD stores may be changed. */
  write: boolean;
  /** Another connection; the caller closes it. */
  another(token?: string): CadClient;
  signal: AbortSignal;
}

export interface ProbeResult {
  grades: Grade[];
  events?: EventGrade[];
}

/** One question to the CAD. It never throws for what the CAD does: that is its answer. */
export interface Probe {
  title: string;
  /** It changes what the CAD stores, or may: it runs with --write only. */
  writes: boolean;
  run(context: ProbeContext): Promise<ProbeResult>;
}

export const grade = (what: string, verdict: Verdict, said: string): Grade => ({ what, verdict, said });
