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

/** The result of one event of the bridge at this CAD. */
export interface EventGrade {
  event: string;
  /** The form of the payload, where there are several. */
  variant: string;
  acks: Verdict;
  echoes: Verdict;
  keepsId: Verdict;
  /** The answer to an id that the CAD cannot know. */
  unknownId: "acked" | "echoed" | "refused" | "silent" | "not tried";
  /**
   * What the form of the answer suggests, without proof: a relay echoes the payload as sent; a handler that stores builds
   * the echo from what it knows.
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
  /** An id that the CAD knows; absent unless given. */
  unit: string | undefined;
  incident: string | undefined;
  /** Whether the CAD's stored data may be changed. */
  write: boolean;
  /** Opens another connection; the caller closes it. */
  another(token?: string): CadClient;
  signal: AbortSignal;
}

export interface ProbeResult {
  grades: Grade[];
  events?: EventGrade[];
}

/** One question to the CAD. Never throws because of the CAD's behaviour, which is the result. */
export interface Probe {
  title: string;
  /** It changes the CAD's stored data, or may: it runs with --write only. */
  writes: boolean;
  run(context: ProbeContext): Promise<ProbeResult>;
}

export const grade = (what: string, verdict: Verdict, said: string): Grade => ({ what, verdict, said });
