import { z } from "zod";
import { requestObject } from "../vocabulary/request-object.ts";
import { parseRoom, type Room } from "../vocabulary/ordering-key.ts";
import { defineCommand } from "./command.ts";

const body = requestObject({
  room: z
    .string()
    .max(209)
    // oxlint-disable-next-line no-control-regex -- as for the ids of fields.ts
    .regex(/^(unit|incident):(?!\s)[^\u0000-\u001f\u007f-\u009f]+(?<!\s)$/u, 'must be "unit:ID" or "incident:ID"')
    .transform((room) => room as Room)
    .meta({ description: '"unit:ID" or "incident:ID".' }),
});
/** Not an object, so there is no context. */
const payload = z.string().meta({ description: "The id of the unit or incident." });
const examples = [
  { summary: "A unit's room", body: { room: "unit:M12" } },
  { summary: "An incident's room", body: { room: "incident:INC-2026-004711" } },
] as const;

/** Joins and leaves are ordered with the other messages of the room's unit or incident. */
const room = (action: "join" | "leave") => ({
  role: "dispatcher" as const,
  body,
  keys: (b: { room: Room }): [Room] => [b.room],
  emits: [`${action}:unit`, `${action}:incident`] as const,
  wire: (b: { room: Room }) => {
    const { kind, id } = parseRoom(b.room);
    return { event: `${action}:${kind}`, payload: id };
  },
  payload,
  effect: "adds" as const,
  examples,
});

export const roomsJoin = defineCommand({
  name: "rooms/join",
  summary: "Have the bridge join a room of the CAD",
  description:
    "The CAD's events for the room reach the bridge from then on; after a reconnect the bridge joins it again.",
  ...room("join"),
});

export const roomsLeave = defineCommand({
  name: "rooms/leave",
  summary: "Have the bridge leave a room of the CAD",
  description:
    "The bridge does not join it again after a reconnect. An assignment to a unit joins the unit's room anew.",
  ...room("leave"),
});
