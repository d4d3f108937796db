import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { openApi } from "../../functions/openapi/document.ts";
import { ENDPOINTS } from "../../shared/vocabulary/roles.ts";

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

const document = openApi("/api");
const operations = Object.entries(document["paths"] as Record<string, Record<string, Operation>>).flatMap(
  ([path, methods]) =>
    Object.entries(methods).map(([method, one]) => [`${method.toUpperCase()} ${path}`, one] as const),
);

/** Answers that are documents or pages, not data. */
const NO_DATA = /openapi\.json|asyncapi\.json|text\/html/;

describe("the OpenAPI document", () => {
  test.each(operations)("%s: every answer with a body has an example that fits its schema", (name, { responses }) => {
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
  });

  test.each(operations)("%s says whether it takes a token", (name, { security }) => {
    const isPublic = ENDPOINTS[name as keyof typeof ENDPOINTS] === "public";
    expect(security).toEqual(isPublic ? [] : [{ bearer: [] }]);
  });

  test("no number has the bounds of JavaScript's integers", () => {
    expect(JSON.stringify(document)).not.toContain("9007199254740991");
  });
});
