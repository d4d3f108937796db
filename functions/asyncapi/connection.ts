import { z } from "zod";
import { REPLAY_EVENT, replayRequest, replayResponse } from "../../shared/events/replay.ts";
import { channelRef, messageRef, part, type Part, payloadOf } from "./parts.ts";

const asked = z.object({ token: z.string() });
const answered = z.looseObject({
  success: z.boolean(),
  source: z.string().optional().describe("The identity that the CAD assigns to the bridge."),
  error: z.string().optional().describe("The reason, where `success` is false."),
});

/** The first messages on every new connection. */
export const connectionParts = (): Part[] => [
  part({
    action: "send",
    channel: "cad",
    event: "fastapi:authenticate",
    summary: "Authenticate, after every connect",
    description:
      "Nothing else is sent before the answer. A CAD that does not answer within CAD_AUTH_WAIT_MS counts as ready.",
    payload: payloadOf(asked, "output"),
    examples: [{ payload: { token: "the token of the handshake" } }],
    tag: "connection",
    more: { reply: { channel: channelRef("cad"), messages: [messageRef("cad", "receiveAuthenticated")] } },
  }),
  part({
    action: "receive",
    channel: "cad",
    event: "authenticated",
    summary: "The CAD's answer to fastapi:authenticate",
    description: "On `success: false` the bridge closes the connection and retries.",
    payload: payloadOf(answered, "input"),
    examples: [
      { summary: "Accepted", payload: { success: true, source: "fastapi" } },
      { summary: "Refused", payload: { success: false, error: "Invalid token" } },
    ],
    tag: "connection",
  }),
  part({
    action: "send",
    channel: "cad",
    event: REPLAY_EVENT,
    summary: "Request events that were missed while disconnected",
    description:
      "Sent with an ack, page by page. If the CAD does not answer, a gap is recorded in the journal (`bridge:gap`).",
    payload: payloadOf(replayRequest, "output"),
    examples: [{ payload: { since: "2026-01-31T22:05:00.123456Z", limit: 500 } }],
    tag: "connection",
    more: { "x-ack": payloadOf(replayResponse, "input") },
  }),
];
