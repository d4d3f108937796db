import * as fc from "fast-check";
import { expect, test } from "vitest";
import { orderedBy, schemaOf } from "../../functions/openapi/parts.ts";
import { commands } from "../../shared/commands/table.ts";
import { events } from "../../shared/events/table.ts";
import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import { fitting } from "../fuzz/arbitrary.ts";

test("each combination of ordering keys is listed once, the shortest first", () => {
  const messages: OrderingKey[][] = [["unit:1", "incident:a"], ["unit:b"], ["unit:2", "incident:2"], ["metrics"]];
  expect(orderedBy(messages)).toEqual([["unit"], ["metrics"], ["unit", "incident"]]);
});

const resolve = (name: string): never => {
  throw new TypeError(`the schema refers to ${name}`);
};

// The documents and the README tell what the examples show: so these have to show all that there is.
test.each([
  ...commands.map((c) => [`POST /${c.name}`, c.body, c.keys, c.examples.map(({ body }) => body)] as const),
  ...events.map((e) => [e.name, e.payload, e.keys, e.examples] as const),
])("the examples of %s show every way in which it is ordered", (_name, schema, keys, examples) => {
  const shown = orderedBy(examples.map((example) => keys(schema.parse(example))));
  const some = fitting(schemaOf(schema, "input"), resolve);
  fc.assert(
    fc.property(some, (value) => {
      const parsed = schema.safeParse(value);
      if (parsed.success) expect(shown).toEqual(expect.arrayContaining(orderedBy([keys(parsed.data)])));
    }),
    { numRuns: 300 },
  );
});
