import { commands } from "../../shared/commands/table.ts";
import { STATES } from "../../shared/outbox/states.ts";
import { toldEntry } from "../../shared/journal/to-response.ts";
import { PROBLEMS } from "../http/problem.ts";
import { receipt } from "../../shared/commands/receipt.ts";
import { incidentState, unitState } from "../../shared/state/to-response.ts";
import { health } from "../routes/health.ts";
import { commandOperation, parameters } from "./command-operation.ts";
import { exampleOf } from "./example.ts";
import { INFO, type Json, ref, schemaOf } from "./parts.ts";
import { routePaths } from "./routes.ts";

const accepted = {
  type: "object",
  required: ["success", "message", "command_id", "status"],
  properties: {
    success: { type: "boolean", description: "False once it is clear that the CAD did not confirm it." },
    message: { type: "string" },
    command_id: { type: "string" },
    status: { enum: STATES, example: "queued" },
  },
  additionalProperties: { description: "The ids of the body." },
};
const problem = {
  type: "object",
  description: "RFC 9457. `code` never changes its meaning.",
  required: ["type", "title", "status", "code", "detail", "hint"],
  properties: {
    type: { type: "string", format: "uri" },
    title: { type: "string" },
    status: { type: "integer" },
    code: { enum: Object.keys(PROBLEMS) },
    detail: { type: "string" },
    hint: { type: "string", description: "What to do next." },
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
    oldest: { type: ["string", "null"], description: "The oldest entry that the journal still has." },
    required_role: { type: "string" },
    units: { type: "array", items: { type: "string" }, description: "The units that the token may not act for." },
  },
};

/** The API as an OpenAPI 3.1 document, made from the command table. */
export function openApi(basePath: string): Json {
  const paths = Object.fromEntries(
    commands.map((command) => [`/${command.name}`, { post: commandOperation(command) }]),
  );
  return withExamples({
    openapi: "3.1.0",
    info: {
      ...INFO,
      description:
        "Tells the CAD what the services have to say. What is accepted (202) is delivered, in order within each unit and incident, and its receipt shows what became of it. What goes over the CAD's wire, commands and events, is in asyncapi.json.",
    },
    servers: [{ url: basePath }],
    paths: together(paths, routePaths()),
    components: {
      parameters,
      securitySchemes: {
        bearer: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "JWT",
          description:
            "HS256, or RS256, ES256 or EdDSA of the identity provider, as the bridge is configured; with `sub`, `role` (or `roles`) and `exp`. An admin may do everything, a dispatcher everything of dispatcher and crew. With the claim `units`, a list of unit ids, the token may only act for those units; where the bridge belongs to an organisation, the claim `org` has to be that.",
        },
      },
      schemas: {
        Accepted: accepted,
        Settled: { allOf: [ref("Accepted"), ref("Receipt")] },
        Receipt: schemaOf(receipt),
        Health: schemaOf(health),
        Event: schemaOf(toldEntry),
        Unit: schemaOf(unitState),
        Incident: schemaOf(incidentState),
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
  });
}

/** The document with an example for each JSON answer that has none. */
function withExamples<Document extends { paths: Json; components: { schemas: Json } }>(document: Document): Document {
  const resolve = (name: string) => (document.components.schemas[name.split("/").at(-1) ?? ""] ?? {}) as Json;
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path as Json));
  for (const operation of operations as { responses: Record<string, { content?: Json }> }[]) {
    for (const { content } of Object.values(operation.responses)) {
      const media = content?.["application/json"] as Json | undefined;
      if (!media || "example" in media) continue;
      const example = exampleOf(media["schema"] as Json, resolve);
      // A document is no example of itself.
      if (Object.keys(example as Json).length > 0) media["example"] = example;
    }
  }
  return document;
}

/** A path may take a command by one method and answer what is known by another. */
function together(...all: Json[]): Json {
  const paths = Map.groupBy(all.flatMap(Object.entries), ([path]) => path);
  return Object.fromEntries([...paths].map(([path, found]) => [path, Object.assign({}, ...found.map((f) => f[1]))]));
}
