import { z } from "zod";
import { channelRef, messageRef, part, type Part, payloadOf } from "./parts.ts";

const asked = z.object({ token: z.string() });
const answered = z.looseObject({
  success: z.boolean(),
  source: z.string().optional().describe("Whom the CAD takes the bridge for."),
  error: z.string().optional().describe("Why not, where `success` is false."),
});

/** What is said before anything else on every new connection. */
export const authenticateParts = (): Part[] => [
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
    description: "On `success: false` the bridge ends the connection, and tries again.",
    payload: payloadOf(answered, "input"),
    examples: [
      { summary: "Accepted", payload: { success: true, source: "fastapi" } },
      { summary: "Refused", payload: { success: false, error: "Invalid token" } },
    ],
    tag: "connection",
  }),
];
