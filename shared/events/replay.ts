import { z } from "zod";

/** The request for past events of the CAD, and its answer: docs/cad-protocol.md. */
export const REPLAY_EVENT = "events:replay";

/** Maximum number of events per request; also the CAD's default limit. */
export const MAX_REPLAY = 1000;

export const replayRequest = z.object({
  since: z.iso.datetime().describe("Send what was sent from this time on."),
  limit: z.int().min(1).max(MAX_REPLAY).default(MAX_REPLAY).describe("Maximum number of events."),
  after: z.string().optional().describe("Not on the first page: the `eventId` of the last event of the page before."),
});

export const replayResponse = z.looseObject({
  events: z.array(
    z.looseObject({
      event: z.string().min(1),
      payload: z.looseObject({
        // Without an id of its own, an event could not be distinguished from an earlier one.
        eventId: z.string().min(1).max(200),
        occurredAt: z.unknown().optional().meta({ type: "string" }),
      }),
    }),
  ),
  more: z.boolean().describe("There is another page."),
  complete: z.boolean().default(true).describe("False: the CAD does not remember everything since then."),
  from: z.iso
    .datetime({ offset: true })
    .optional()
    .describe("With `complete: false`: since when it remembers everything."),
});
