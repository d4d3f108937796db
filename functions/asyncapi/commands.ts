import { type Command, context, type Context } from "../../shared/commands/command.ts";
import { parseRoom } from "../../shared/vocabulary/ordering-key.ts";
import { type Json, orderedBy } from "../openapi/parts.ts";
import { channelRef, messageRef, part, type Part, pascal, payloadOf } from "./parts.ts";

const CONTEXT: Context = {
  commandId: "6f1c1f6e-1f0e-4b5e-9d0a-0d4f5c1f2a3b",
  userId: "dispatcher-7",
  role: "dispatcher",
  issuedAt: "2026-01-31T22:00:12.000000Z",
};

/** The messages of a command: one for each event that it emits. */
export function commandParts(command: Command): Part[] {
  return command.emits.map((event) =>
    part({
      action: "send",
      channel: "cad",
      event,
      summary: command.summary,
      description: describe(command),
      payload: withContext(payloadOf(command.payload, "output")),
      examples: examplesOf(command, event),
      tag: "commands",
      more: {
        ...(command.echo && { reply: replyOf(command, command.echo.event) }),
        "x-command": `POST /${command.name}`,
        "x-ordering-keys": orderedBy(bodiesOf(command, event).map((body) => command.keys(body))),
        "x-latest-wins": command.latestWins ?? false,
        ...(command.ttlSeconds !== undefined && { "x-ttl-seconds": command.ttlSeconds }),
      },
    }),
  );
}

/** The room an event is sent to, if it is not broadcast to all: the one that a command joins for its echo. */
export function roomOf(event: string, commands: readonly Command[]): "unit" | "incident" | undefined {
  const command = commands.find(({ echo, needsRoom }) => needsRoom && echo?.event === event);
  return command?.needsRoom && parseRoom(command.needsRoom(command.body.parse(command.examples[0].body))).kind;
}

const describe = ({ description, echo, needsRoom, latestWins, ttlSeconds }: Command): string =>
  [
    description,
    echo
      ? `Confirmed by the CAD's ack, or by its broadcast of \`${echo.event}\` with the same ${echo.fields.map((f) => `\`${f}\``).join(", ")}.`
      : "The CAD may ack it; no broadcast is expected.",
    needsRoom && "Before sending, the bridge joins the room that the broadcast goes to.",
    latestWins && "Latest wins: a newer value replaces a waiting one.",
    ttlSeconds !== undefined && `Expires after ${ttlSeconds} s.`,
  ]
    .filter(Boolean)
    .join(" ");

function replyOf({ needsRoom }: Command, event: string): Json {
  const channel = needsRoom ? "unitRoom" : "cad";
  return { channel: channelRef(channel), messages: [messageRef(channel, `receive${pascal(event)}`)] };
}

/** Adds the audit context that every object payload carries. */
const withContext = (payload: Json): Json =>
  payload["type"] === "object"
    ? {
        ...payload,
        properties: { ...(payload["properties"] as Json), context: payloadOf(context, "output") },
        required: [...((payload["required"] as string[] | undefined) ?? []), "context"],
      }
    : payload;

/** The example bodies for which a command emits this event. */
const bodiesOf = (command: Command, event: string) =>
  command.examples
    .map(({ body }) => command.body.parse(body))
    .filter((body) => command.wire(body, CONTEXT).event === event);

/** The examples of the HTTP API as the CAD receives them, for this event. */
const examplesOf = (command: Command, event: string) =>
  command.examples.flatMap(({ summary, body }) => {
    const emit = command.wire(command.body.parse(body), CONTEXT);
    if (emit.event !== event) return [];
    const payload = typeof emit.payload === "string" ? emit.payload : { ...emit.payload, context: CONTEXT };
    return [{ summary, payload: JSON.parse(JSON.stringify(payload)) as unknown }];
  });
