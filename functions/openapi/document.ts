import { z } from "zod";
import { commands } from "../../shared/commands/table.ts";
import { type ProblemCode, PROBLEMS } from "../http/problem.ts";
import { receipt } from "../../shared/commands/receipt.ts";
import { commandOperation, parameters } from "./command-operation.ts";
import { exampleOf } from "./example.ts";
import { componentSchemas, INFO, type Json, ref, schemaOf } from "./parts.ts";
import { routePaths } from "./routes.ts";
import { describeSeveral } from "./several-cads.ts";

/** The body of a problem response; further members depend on its code. */
const problem = z
  .looseObject({
    type: z.string().meta({ format: "uri" }),
    title: z.string(),
    status: z.int(),
    code: z.enum(Object.keys(PROBLEMS) as ProblemCode[]),
    detail: z.string(),
    hint: z.string().meta({ description: "What to do next." }),
    errors: z
      .array(z.object({ pointer: z.string(), detail: z.string() }))
      .optional()
      .meta({ description: "Every wrong field, by JSON pointer (RFC 6901)." }),
    command_id: z.string().optional(),
    idempotency_key: z.string().optional().meta({
      description: "Send this as the Idempotency-Key to repeat a request with an unknown outcome safely.",
    }),
    receipt: receipt.optional().meta({ description: "Receipt of a command that was not delivered." }),
    oldest: z.string().nullish().meta({ description: "The oldest entry in the journal." }),
    required_role: z.string().optional(),
    units: z.array(z.string()).optional().meta({ description: "The units that the token may not act for." }),
  })
  .meta({ description: "RFC 9457. `code` never changes its meaning." });

/**
 * The API as an OpenAPI 3.1 document, made from the command table.
 * @param several the ids of the CADs, for the API of several
 */
export function openApi(basePath: string, several?: readonly string[]): Json {
  const ofCommands = Object.fromEntries(
    commands.map((command) => [`/${command.name}`, { post: commandOperation(command) }]),
  );
  const paths = together(ofCommands, routePaths());
  const of = several && describeSeveral(basePath, several, paths);
  return withExamples({
    openapi: "3.1.0",
    info: {
      ...INFO,
      description:
        "Carries commands from services to the CAD, and CAD events back. Accepted commands (202) are delivered in order within each unit and incident; the receipt of a command shows its state and what proves it. The messages between bridge and CAD are described in asyncapi.json.",
    },
    servers: of?.servers ?? [{ url: basePath }],
    paths,
    components: {
      parameters,
      securitySchemes: {
        bearer: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "JWT",
          description:
            "A JWT with `sub`, `role` (or `roles`) and `exp`: HS256, or RS256, ES256 or EdDSA of the identity provider, depending on the configuration. An admin may do everything, a dispatcher everything that dispatcher and crew may. The claim `units`, a list of unit ids, limits the token to those units; where the bridge belongs to an organisation, the claim `org` has to match.",
        },
      },
      schemas: {
        ...componentSchemas(),
        Settled: { allOf: [ref("Accepted"), ref("Receipt")] },
        Status: { allOf: [ref("Health"), { type: "object" }] },
        ...of?.schemas,
        Problem: schemaOf(problem),
      },
    },
  });
}

/** Adds an example to each JSON answer without one. */
function withExamples<Document extends { paths: Json; components: { schemas: Json } }>(document: Document): Document {
  const resolve = (name: string) => (document.components.schemas[name.split("/").at(-1) ?? ""] ?? {}) as Json;
  const operations = Object.values(document.paths).flatMap((path) =>
    Object.entries(path as Json).flatMap(([method, one]) => (method === "servers" ? [] : [one])),
  );
  for (const operation of operations as { responses: Record<string, { content?: Json }> }[]) {
    for (const { content } of Object.values(operation.responses)) {
      const media = content?.["application/json"] as Json | undefined;
      if (!media || "example" in media) continue;
      const example = exampleOf(media["schema"] as Json, resolve);
      // A document is not an example of itself.
      if (Object.keys(example as Json).length > 0) media["example"] = example;
    }
  }
  return document;
}

/** Merges path items: a path may accept a command by one method and return state by another. */
function together(...all: Json[]): Record<string, Json> {
  const paths = Map.groupBy(all.flatMap(Object.entries), ([path]) => path);
  return Object.fromEntries([...paths].map(([path, found]) => [path, Object.assign({}, ...found.map((f) => f[1]))]));
}
