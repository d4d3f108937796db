import { z } from "zod";
import type { Json } from "../openapi/parts.ts";

/** Converts a schema to JSON Schema draft 7, the default of AsyncAPI 3. */
export const payloadOf = (schema: z.ZodType, io: "input" | "output"): Json => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any", target: "draft-7" }) as Json;
  return rest;
};

/** `unit:status:updated` as `UnitStatusUpdated`: keys of a document must not contain colons. */
export const pascal = (event: string): string =>
  event.replaceAll(/(?:^|[^a-z]+)([a-z])/g, (_, letter: string) => letter.toUpperCase());

export type Channel = "cad" | "unitRoom" | "journal" | "webhooks";
export const channelRef = (channel: Channel): Json => ({ $ref: `#/channels/${channel}` });
export const messageRef = (channel: Channel, message: string): Json => ({
  $ref: `#/channels/${channel}/messages/${message}`,
});

/** A message and its operation: a part of the document. */
export interface Part {
  channel: Channel;
  /** Its key among the channel's messages and among the operations. */
  key: string;
  message: Json;
  operation: Json;
}

export interface PartOptions {
  action: "send" | "receive";
  channel: Channel;
  event: string;
  summary: string;
  description: string;
  payload: Json;
  examples: readonly { summary?: string; payload: unknown }[];
  tag: string;
  /** Further fields of the operation. */
  more?: Json;
}

/** One event on the wire, sent or received by the bridge. */
export function part({
  action,
  channel,
  event,
  summary,
  description,
  payload,
  examples,
  tag,
  more,
}: PartOptions): Part {
  const key = `${action}${pascal(event)}`;
  const message = {
    name: event,
    title: event,
    summary,
    contentType: "application/json",
    payload,
    examples: examples.map((example, i) => ({ name: `${key}${i + 1}`, ...example })),
  };
  const operation = {
    action,
    channel: channelRef(channel),
    title: event,
    summary,
    description,
    tags: [{ name: tag }],
    messages: [messageRef(channel, key)],
    ...more,
  };
  return { channel, key, message, operation };
}
