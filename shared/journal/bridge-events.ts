import { z } from "zod";
import { BRIDGE_EVENTS } from "./entry.ts";
import { gap } from "./gaps.ts";

/** What the bridge itself writes into the journal, beside the CAD's events, for those who read it. */
export interface BridgeEvent {
  name: (typeof BRIDGE_EVENTS)[keyof typeof BRIDGE_EVENTS];
  summary: string;
  payload: z.ZodType;
  examples: readonly [Record<string, unknown>, ...Record<string, unknown>[]];
}

export const bridgeEvents: Readonly<Record<keyof typeof BRIDGE_EVENTS, BridgeEvent>> = {
  gap: {
    name: BRIDGE_EVENTS.gap,
    summary:
      "Events of this time may be missing: the connection to the CAD was gone, and it cannot say what was missed",
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
    summary: "A handler was so far behind that entries may have been gone from the journal before it came to them",
    payload: z.looseObject({
      handler: z.string(),
      from: z.string().describe("The journal's id of the last entry that it had done."),
      to: z.string().describe("That of the next that was still there."),
    }),
    examples: [{ handler: "state", from: "1769896812000-0", to: "1769983212000-0" }],
  },
  highPriority: {
    name: BRIDGE_EVENTS.highPriority,
    summary: "An incident of the highest priority was created",
    payload: z.looseObject({
      entry: z.string().describe("The journal's id of the `incident:new`."),
      priority: z.number(),
    }),
    examples: [{ entry: "1769896812000-0", priority: 1 }],
  },
};
