import { z } from "zod";
import { BRIDGE_EVENTS } from "./entry.ts";
import { gap } from "./gaps.ts";

/** An entry that the bridge itself writes to the journal. */
export interface BridgeEvent {
  name: (typeof BRIDGE_EVENTS)[keyof typeof BRIDGE_EVENTS];
  summary: string;
  payload: z.ZodType;
  examples: readonly [Record<string, unknown>, ...Record<string, unknown>[]];
}

/** A problem as defined in shared/health/problems.ts, which the journal must not import. */
const problemReport = z.looseObject({
  code: z.string().describe("One of the codes of docs/operations.md."),
  severity: z.enum(["critical", "warning", "notice"]),
  about: z
    .string()
    .optional()
    .describe("The destination or handler concerned, for codes that can occur once for each."),
  message: z.string(),
  since: z.string(),
  hint: z.string(),
  lost: z.string(),
  runbook: z.string(),
});
const AWAY = {
  code: "cad-disconnected",
  severity: "warning",
  message: "Commands wait: the CAD is not connected, or not ready yet.",
  since: "2026-01-31T22:00:12.000Z",
  hint: "Look at the CAD, the network to it, CAD_BACKEND_URL and CAD_BACKEND_AUTH_TOKEN.",
  lost: "No command: they wait in Redis in their order.",
  runbook: "docs/operations.md#cad-disconnected",
};

export const bridgeEvents: Readonly<Record<keyof typeof BRIDGE_EVENTS, BridgeEvent>> = {
  gap: {
    name: BRIDGE_EVENTS.gap,
    summary: "Events of this time may be missing: the connection to the CAD was lost, and the CAD cannot replay them",
    payload: gap,
    examples: [
      {
        from: "2026-01-31T22:00:12.000000Z",
        to: "2026-01-31T22:01:40.000000Z",
        reason: "the CAD does not answer events:replay",
      },
    ],
  },
  skipped: {
    name: BRIDGE_EVENTS.skipped,
    summary: "A handler was so far behind that entries may have been removed from the journal before it reached them",
    payload: z.looseObject({
      handler: z.string(),
      from: z.string().describe("Id of the last entry that it had handled."),
      to: z.string().describe("Id of the next entry that still existed."),
    }),
    examples: [{ handler: "state", from: "1769896812000-0", to: "1769983212000-0" }],
  },
  highPriority: {
    name: BRIDGE_EVENTS.highPriority,
    summary: "An incident of the highest priority was created",
    payload: z.looseObject({
      entry: z.string().describe("Id of the journal entry of the `incident:new`."),
      priority: z.number(),
    }),
    examples: [{ entry: "1769896812000-0", priority: 1 }],
  },
  problemOpened: {
    name: BRIDGE_EVENTS.problemOpened,
    summary: "A problem began: an item of `problems` of GET /health",
    payload: problemReport,
    examples: [AWAY],
  },
  problemResolved: {
    name: BRIDGE_EVENTS.problemResolved,
    summary: "A problem ended",
    payload: problemReport.extend({ resolved: z.string().describe("When it ended.") }),
    examples: [{ ...AWAY, resolved: "2026-01-31T22:05:40.000Z" }],
  },
};
