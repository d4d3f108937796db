import type { Command } from "../../shared/commands/command.ts";
import { idempotencyKeySchema, MAX_WAIT_S, ttlSchema } from "../http/command-headers.ts";
import { GATED, header, json, type Json, problems, REDIS, ref, schemaOf } from "./parts.ts";

/** The request headers of every command. */
export const parameters = {
  IdempotencyKey: {
    name: "Idempotency-Key",
    in: "header",
    description:
      "1 to 255 printable ASCII characters. Repeating the same key and body returns the same command_id, and nothing is sent twice, for 24 h. The same key with another body is refused.",
    schema: schemaOf(idempotencyKeySchema, "input"),
  },
  Prefer: {
    name: "Prefer",
    in: "header",
    description: `\`wait=N\`: respond once the command is settled, after at most N seconds (${MAX_WAIT_S} at most; RFC 7240).`,
    schema: { type: "string" },
    example: "wait=10",
  },
  CommandTTL: {
    name: "Command-TTL",
    in: "header",
    description: "Time to live in seconds: not sent after that. Overrides the command's default.",
    schema: schemaOf(ttlSchema, "input"),
  },
  Traceparent: {
    name: "traceparent",
    in: "header",
    description:
      "The trace that the command belongs to (W3C Trace Context). It is stored with the command and passed on to webhooks. One that is not valid is ignored.",
    schema: { type: "string" },
    example: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  },
};

const accepted = (description: string, schema: string) => ({
  description,
  headers: {
    Location: header("URL of the receipt."),
    "Idempotency-Replayed": header("`true` if the Idempotency-Key was seen before."),
  },
  content: json(ref(schema)),
});

/** One command as an OpenAPI operation. */
export function commandOperation(command: Command): Json {
  const notes = [
    command.description,
    `Requires the role \`${command.role}\`. Emits ${command.emits.map((event) => `\`${event}\``).join(" or ")}.`,
    command.latestWins ? "Latest wins: a newer value replaces a waiting one." : "",
    command.ttlSeconds === undefined ? "" : `Expires after ${command.ttlSeconds} s if it could not be sent by then.`,
  ];
  const examples = Object.fromEntries(command.examples.map((e) => [e.summary, { summary: e.summary, value: e.body }]));
  const [first] = command.examples;
  return {
    operationId: command.name.replaceAll(/\/(\w)/g, (_, letter: string) => letter.toUpperCase()),
    tags: [command.name.split("/", 1)[0]],
    summary: command.summary,
    description: notes.filter(Boolean).join("\n\n"),
    security: [{ bearer: [] }],
    parameters: Object.keys(parameters).map((name) => ({ $ref: `#/components/parameters/${name}` })),
    requestBody: { required: true, content: json(schemaOf(command.body, "input"), { examples }) },
    responses: {
      "200": accepted("Settled within the time of `Prefer: wait`.", "Settled"),
      "202": {
        ...accepted("Accepted: stored in Redis, and delivered in order.", "Accepted"),
        content: json(ref("Accepted"), {
          example: {
            success: true,
            message: "Accepted. It will be delivered in its order.",
            command_id: "6f1c1f6e-1f0e-4b5e-9d0a-0d4f5c1f2a3b",
            status: "queued",
            ...Object.fromEntries(
              Object.entries(first.body).filter(([name]) => name.endsWith("_id") || name === "room"),
            ),
          },
        }),
      },
      ...problems(
        "not-json",
        "unsafe-json",
        "invalid-header",
        ...GATED,
        "outside-units",
        "too-much-waiting",
        "too-large",
        "not-json-type",
        "invalid-body",
        "idempotency-conflict",
        "undeliverable",
        "redis-full",
        ...REDIS,
      ),
    },
  };
}
