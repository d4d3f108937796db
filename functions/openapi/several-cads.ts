import { z } from "zod";
import { cadsAnswer, moveAnswer, moveBody } from "../routes/cads.ts";
import { problem } from "../../shared/health/problems.ts";
import { health } from "../routes/health.ts";
import type { ProblemCode } from "../http/problem.ts";
import { answer, json, type Json, REDIS, ref, type Route, schemaOf } from "./parts.ts";
import { routePaths } from "./routes.ts";

/** GET /health of several CADs. */
export const healthOfSeveral = z.object({
  status: health.shape.status.meta({
    description: "`unhealthy`: every CAD is. `degraded`: one of them is not healthy.",
  }),
  problems: z
    .array(problem.extend({ cad: z.string() }))
    .meta({ description: "What is wrong with any of them, and with which." }),
  cads: z.record(z.string(), health).meta({ description: "Each by its id, as GET /cads/{cad}/health answers it." }),
  timestamp: z.string(),
});

/** GET /status of several CADs: of each what GET /cads/{cad}/status answers. */
export const statusOfSeveral = healthOfSeveral.omit({ problems: true });

const MOVE: readonly ProblemCode[] = ["outside-units", ...REDIS];
const ROUTES: readonly Route[] = [
  {
    endpoint: "GET /cads",
    id: "listCads",
    tag: "operation",
    summary: "List the CADs",
    description: "What a CAD owns is shown to dispatchers and admins, which worker leads it to admins.",
    answers: { "200": answer("Those that the token may use.", schemaOf(cadsAnswer)) },
    problems: REDIS,
  },
  {
    endpoint: "POST /units/{id}/move",
    id: "moveUnit",
    tag: "operation",
    summary: "Move a unit to another CAD",
    description:
      "Commands accepted before go to the CAD that it leaves; those accepted after wait at the other one until all of them are settled. Asking again for the same CAD changes nothing.",
    body: schemaOf(moveBody, "input"),
    answers: {
      "200": answer("Moved.", schemaOf(moveAnswer)),
      "202": answer("Moved; commands still wait at the CAD that it left.", schemaOf(moveAnswer)),
    },
    problems: [...MOVE, "not-json", "unsafe-json", "not-json-type", "invalid-body", "move-refused"],
  },
  {
    endpoint: "GET /units/{id}/move",
    id: "getMove",
    tag: "operation",
    summary: "Get the last move of a unit",
    answers: { "200": answer("The move.", schemaOf(moveAnswer)) },
    problems: ["not-found", ...REDIS],
  },
  {
    endpoint: "DELETE /units/{id}/move",
    id: "cancelMove",
    tag: "operation",
    summary: "Move a unit back while its move waits",
    description: "What was accepted meanwhile is still sent to the CAD that accepted it, and in its order.",
    answers: {
      "200": answer("Moved back.", schemaOf(moveAnswer)),
      "202": answer("Moved back; commands still wait at the CAD that it left.", schemaOf(moveAnswer)),
    },
    problems: [...MOVE, "not-found", "move-refused"],
  },
];

/** What several CADs answer otherwise. */
const ANSWERS = [
  ["/health", ["200", "503"], "HealthOfSeveral"],
  ["/status", ["200"], "StatusOfSeveral"],
] as const;

/** What the document of one CAD says otherwise for several. `paths` are changed in place. */
export function describeSeveral(
  basePath: string,
  ids: readonly string[],
  paths: Record<string, Json>,
): { servers: Json[]; schemas: Json } {
  const all = [{ url: basePath, description: "All CADs." }];
  const [first = ""] = ids;
  for (const [path, operations] of Object.entries(routePaths(ROUTES)))
    paths[path] = { ...paths[path], ...(operations as Json), servers: all };
  for (const [path, statuses, name] of ANSWERS) {
    // The routes are those of the document of one CAD, too.
    const own = structuredClone(paths[path] ?? {});
    for (const status of statuses) addAnswer(own, status, name);
    paths[path] = own;
  }
  return {
    servers: [
      { ...all[0], description: "The CAD is chosen by unit, incident or organisation." },
      {
        url: `${basePath}/cads/{cad}`,
        description: "One CAD.",
        variables: { cad: { default: first, enum: [...ids], description: "Its id in CADS_FILE." } },
      },
    ],
    schemas: { HealthOfSeveral: schemaOf(healthOfSeveral), StatusOfSeveral: schemaOf(statusOfSeveral) },
  };
}

/** Below its own path the answer is that of several CADs; below the path of one CAD it stays that CAD's. */
function addAnswer(path: Json, status: string, name: string): void {
  const { responses } = path["get"] as { responses: Record<string, { content: Json }> };
  const content = responses[status]?.content ?? {};
  const media = content["application/json"] as { schema: Json };
  Object.assign(content, json({ anyOf: [ref(name), media.schema] }));
}
