import { isDeepStrictEqual } from "node:util";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { openApi } from "../../functions/openapi/document.ts";
import { CADS_ENDPOINTS, ENDPOINTS } from "../../shared/vocabulary/roles.ts";

type Json = Record<string, unknown>;
interface Media {
  schema: Json;
  example?: unknown;
  examples?: Record<string, { value: unknown }>;
}
interface Operation {
  security?: unknown[];
  responses: Record<string, { content?: Record<string, Media> }>;
}

const documents = { "one CAD": openApi("/api"), "several CADs": openApi("/api", ["north", "south"]) };
const known = (path: string, method: string, one: unknown): boolean =>
  isDeepStrictEqual((documents["one CAD"]["paths"] as Record<string, Json>)[path]?.[method], one);
/** Of several CADs, what is not the same for one. */
const all = Object.entries(documents).flatMap(([of, document]) =>
  Object.entries(document["paths"] as Record<string, Record<string, Operation>>).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([method, one]) => method !== "servers" && (of === "one CAD" || !known(path, method, one)))
      .map(([method, one]) => [`${method.toUpperCase()} ${path}`, of, one, document] as const),
  ),
);

/** Answers that are documents or pages, not data. */
const NO_DATA = /openapi\.json|asyncapi\.json|text\/html/;

describe("the OpenAPI document", () => {
  test.each(all)(
    "%s of %s: every answer with a body has an example that fits its schema",
    (name, _of, one, document) => {
      const { responses } = one;
      const ajv = new Ajv2020({ strict: false, validateFormats: false });
      ajv.addSchema({ $id: "doc", components: document["components"] });
      for (const [status, { content = {} }] of Object.entries(responses)) {
        for (const [type, media] of Object.entries(content)) {
          const where = `${name} ${status} ${type}`;
          if (NO_DATA.test(where)) continue;
          const examples = media.examples ? Object.values(media.examples).map((e) => e.value) : [media.example];
          expect(examples.length, where).toBeGreaterThan(0);
          const schema = JSON.parse(JSON.stringify(media.schema).replaceAll('"#/', '"doc#/')) as Json;
          for (const example of examples) {
            expect(example, where).toBeDefined();
            const fits = ajv.validate(schema, example);
            expect(fits, `${where}: ${ajv.errorsText()} ${JSON.stringify(example)}`).toBe(true);
          }
        }
      }
    },
  );

  test.each(all)("%s of %s declares whether it requires a token", (name, _of, { security }) => {
    const isPublic = ENDPOINTS[name as keyof typeof ENDPOINTS] === "public";
    expect(security).toEqual(isPublic ? [] : [{ bearer: [] }]);
  });

  test("of several CADs names each CAD's path, and what only the API of all has", () => {
    const { servers, paths } = documents["several CADs"];
    expect(servers).toMatchObject([
      { url: "/api" },
      { url: "/api/cads/{cad}", variables: { cad: { default: "north", enum: ["north", "south"] } } },
    ]);
    const own = Object.keys(CADS_ENDPOINTS).map((endpoint) => endpoint.split(" ")[1] ?? "");
    for (const path of own) {
      expect(paths).toHaveProperty([path, "servers"], [expect.objectContaining({ url: "/api" })]);
      expect(documents["one CAD"]["paths"]).not.toHaveProperty([path]);
    }
  });

  test("no number has the bounds of JavaScript's integers", () => {
    expect(JSON.stringify(documents)).not.toContain("9007199254740991");
  });
});
