import { z } from "zod";
import type { Command } from "../shared/commands/command.ts";
import { commands } from "../shared/commands/table.ts";
import { PROBLEMS, type ProblemCode } from "../shared/problem.ts";
import { receipt } from "../shared/receipt.ts";
import { STATES } from "../shared/outbox/states.ts";
import { health } from "./health.ts";

type Json = Record<string, unknown>;

const schemaOf = (schema: z.ZodType, io: "input" | "output" = "output"): Json => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as Json;
  return rest;
};
const json = (schema: Json, more: Json = {}): Json => ({ "application/json": { schema, ...more } });
const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });

/** The answers that say what is wrong, one for each status, with every code that it may have. */
function problems(...codes: ProblemCode[]): Json {
  const byStatus = Map.groupBy(codes, (code) => PROBLEMS[code].status);
  return Object.fromEntries(
    [...byStatus].map(([status, these]) => [
      String(status),
      {
        description: these.map((code) => `\`${code}\`: ${PROBLEMS[code].title}. ${PROBLEMS[code].mend}`).join("\n\n"),
        ...(status === 401 && { headers: { "WWW-Authenticate": header("How to authenticate (RFC 6750).") } }),
        ...(status === 503 && {
          headers: { "Retry-After": header("Seconds to wait before trying again.", "integer") },
        }),
        content: { "application/problem+json": { schema: ref("Problem") } },
      },
    ]),
  );
}
const header = (description: string, type = "string"): Json => ({ description, schema: { type } });

const parameters = {
  IdempotencyKey: {
    name: "Idempotency-Key",
    in: "header",
    description:
      "Any printable text. The same key with the same body again is answered with the same command_id, and nothing is sent twice, for 24 h. With another body it is refused.",
    schema: { type: "string", minLength: 1, maxLength: 255 },
  },
  Prefer: {
    name: "Prefer",
    in: "header",
    description: "`wait=N`: answer when the command is settled, after N seconds (at most 30) at the latest (RFC 7240).",
    schema: { type: "string" },
    example: "wait=10",
  },
  CommandTTL: {
    name: "Command-TTL",
    in: "header",
    description: "Seconds after which the command is not worth sending any more; instead of the command's own.",
    schema: { type: "integer", minimum: 1, maximum: 604_800 },
  },
};

const GATED: ProblemCode[] = ["unauthenticated", "forbidden"];
const REDIS: ProblemCode[] = ["redis-unavailable", "internal"];

function commandOperation(command: Command): Json {
  const notes = [
    command.description,
    `Takes the role \`${command.role}\`. Emits ${command.emits.map((event) => `\`${event}\``).join(" or ")}.`,
    command.latestWins ? "Latest wins." : "",
    command.ttlSeconds === undefined ? "" : `Expires after ${command.ttlSeconds} s if it could not be sent by then.`,
  ];
  const examples = Object.fromEntries(command.examples.map((e) => [e.summary, { summary: e.summary, value: e.body }]));
  const [first] = command.examples;
  const accepted = (description: string, schema: string) => ({
    description,
    headers: {
      Location: header("Where its receipt is."),
      "Idempotency-Replayed": header("`true` if the Idempotency-Key was seen before."),
    },
    content: json(ref(schema)),
  });
  return {
    operationId: command.name.replaceAll(/\/(\w)/g, (_, letter: string) => letter.toUpperCase()),
    tags: [command.name.split("/", 1)[0]],
    summary: command.summary,
    description: notes.filter(Boolean).join("\n\n"),
    security: [{ bearer: [] }],
    parameters: Object.keys(parameters).map((name) => ({ $ref: `#/components/parameters/${name}` })),
    requestBody: { required: true, content: json(schemaOf(command.body, "input"), { examples }) },
    responses: {
      "200": accepted("Settled within the time that `Prefer: wait` gave.", "Settled"),
      "202": {
        ...accepted("Accepted: the backlog has it, and it will be delivered in its order.", "Accepted"),
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
      ...problems("not-json", "invalid-header", ...GATED, "too-large", "not-json-type", "invalid-body"),
      ...problems(
        "idempotency-conflict",
        "invalid-body",
        "undeliverable",
        "redis-unavailable",
        "redis-full",
        "internal",
      ),
    },
  };
}

const get = (summary: string, tag: string, responses: Json, more: Json = {}): Json => ({
  summary,
  tags: [tag],
  responses,
  ...more,
});
const ok = (description: string, schema: Json): Json => ({ "200": { description, content: json(schema) } });
const bearer = { security: [{ bearer: [] }] };

function otherPaths(): Json {
  const html = { "200": { description: "A page.", content: { "text/html": { schema: { type: "string" } } } } };
  const commandId = { name: "id", in: "path", required: true, schema: { type: "string" } };
  return {
    "/commands/{id}": {
      get: get(
        "What became of a command",
        "receipts",
        { ...ok("Its receipt.", ref("Receipt")), ...problems(...GATED, "not-found", ...REDIS) },
        {
          operationId: "getCommand",
          description:
            "Any role. A receipt is kept for a day after the command was settled, a dead letter for 30 days.",
          parameters: [commandId],
          ...bearer,
        },
      ),
    },
    "/health": {
      get: get(
        "Whether commands are delivered",
        "operation",
        {
          ...ok("Healthy, or degraded: commands are accepted.", ref("Health")),
          "503": { description: "Unhealthy.", content: json(ref("Health")) },
        },
        { operationId: "getHealth", description: "Public. Shows by consumption whether work is being done." },
      ),
    },
    "/status": {
      get: get(
        "Everything that is known of the bridge",
        "operation",
        { ...ok("Health, with counts.", ref("Status")), ...problems(...GATED, ...REDIS) },
        {
          operationId: "getStatus",
          description: "Takes the role `admin`.",
          ...bearer,
        },
      ),
    },
    "/reconnect": {
      post: get(
        "Have the worker make a new connection",
        "operation",
        {
          ...ok("Ready on a new connection.", ref("Reconnected")),
          ...problems(...GATED, "no-worker", "redis-unavailable", "reconnect-timeout", "internal"),
        },
        {
          operationId: "reconnect",
          description: "Takes the role `admin`. Answers 200 only once the bridge is ready again.",
          ...bearer,
        },
      ),
    },
    "/openapi.json": {
      get: get("This document", "docs", ok("OpenAPI 3.1.", { type: "object" }), { operationId: "getOpenApi" }),
    },
    "/docs": { get: get("This document as a page", "docs", html, { operationId: "getDocs" }) },
  };
}

const accepted = {
  type: "object",
  required: ["success", "message", "command_id", "status"],
  properties: {
    success: { type: "boolean", description: "False once it is clear that the CAD did not confirm it." },
    message: { type: "string" },
    command_id: { type: "string" },
    status: { enum: STATES },
  },
  additionalProperties: { type: "string", description: "The ids of the body." },
};
const problem = {
  type: "object",
  description: "RFC 9457. `code` never changes its meaning.",
  required: ["type", "title", "status", "code", "detail", "mend"],
  properties: {
    type: { type: "string", format: "uri" },
    title: { type: "string" },
    status: { type: "integer" },
    code: { enum: Object.keys(PROBLEMS) },
    detail: { type: "string" },
    mend: { type: "string", description: "What to do next." },
    errors: {
      type: "array",
      description: "Every wrong field, by JSON pointer (RFC 6901).",
      items: {
        type: "object",
        required: ["pointer", "detail"],
        properties: { pointer: { type: "string" }, detail: { type: "string" } },
      },
    },
    command_id: { type: "string" },
    idempotency_key: {
      type: "string",
      description: "With this as the Idempotency-Key, repeating a request whose fate is unknown is harmless.",
    },
    receipt: { ...ref("Receipt"), description: "Of a command that was not delivered." },
    required_role: { type: "string" },
  },
};

/** The API as an OpenAPI 3.1 document, made from the command table. */
export function openApi(basePath: string): Json {
  const paths = Object.fromEntries(
    commands.map((command) => [`/${command.name}`, { post: commandOperation(command) }]),
  );
  return {
    openapi: "3.1.0",
    info: {
      title: "Socket Bridge",
      version: "0.1.0",
      description:
        "Tells the CAD what the services have to say. What is accepted (202) is delivered, in order within each unit and incident, and its receipt shows what became of it.",
    },
    servers: [{ url: basePath }],
    paths: { ...paths, ...otherPaths() },
    components: {
      parameters,
      securitySchemes: {
        bearer: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "JWT",
          description:
            "HS256, with sub, role (or roles) and exp. An admin may do everything, a dispatcher everything of dispatcher and crew.",
        },
      },
      schemas: {
        Accepted: accepted,
        Settled: { allOf: [ref("Accepted"), ref("Receipt")] },
        Receipt: schemaOf(receipt),
        Health: schemaOf(health),
        Status: { allOf: [ref("Health"), { type: "object" }] },
        Reconnected: {
          type: "object",
          required: ["success", "message", "connection_attempts"],
          properties: {
            success: { const: true },
            message: { type: "string" },
            connection_attempts: { type: "integer" },
          },
        },
        Problem: problem,
      },
    },
  };
}
