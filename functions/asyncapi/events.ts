import { commands } from "../../shared/commands/table.ts";
import type { CadEvent } from "../../shared/events/event.ts";
import { orderedBy } from "../openapi/parts.ts";
import { roomOf } from "./commands.ts";
import { part, type Part, payloadOf } from "./parts.ts";

/** A CAD event as the bridge receives it. */
export function eventPart(event: CadEvent): Part {
  const room = roomOf(event.name, commands);
  const own = commands.filter(({ echo }) => echo?.event === event.name).map(({ name }) => `\`POST /${name}\``);
  return part({
    action: "receive",
    channel: room ? "unitRoom" : "cad",
    event: event.name,
    summary: event.summary,
    description: [
      "Extra keys are kept; a CAD that can replay its events adds `eventId` and `occurredAt` to each. A payload that does not match is kept as malformed.",
      own.length > 0 && `Also the echo by which the CAD confirms ${own.join(" or ")}.`,
    ]
      .filter(Boolean)
      .join(" "),
    payload: payloadOf(event.payload, "input"),
    examples: event.examples.map((payload) => ({ payload })),
    tag: "events",
    more: { "x-ordering-keys": orderedBy(event.examples.map((payload) => event.keys(event.payload.parse(payload)))) },
  });
}
