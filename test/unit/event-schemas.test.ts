import { Ajv2020 } from "ajv/dist/2020.js";
import { expect, test } from "vitest";
import { described, eventSchema } from "../../shared/events/contract.ts";
import { events } from "../../shared/events/table.ts";
import { bridgeEvents } from "../../shared/journal/bridge-events.ts";

const all = [...events, ...Object.values(bridgeEvents)];

test("every event has a schema, and no other", () => {
  expect(described()).toEqual(all.map(({ name }) => name));
  expect(eventSchema("unit:status:updated", "2")).toBeUndefined();
  expect(eventSchema("nothing", "1")).toBeUndefined();
});

test.each(all.map((event) => [event.name, event] as const))(
  "the examples of %s fit its schema",
  (name, { examples }) => {
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    const schema = eventSchema(name, "1") ?? {};
    const validate = ajv.compile(schema);
    for (const example of examples) expect(validate(example), JSON.stringify(validate.errors)).toBe(true);
    const partial = ajv.compile({ $ref: `${String(schema["$id"])}#/$defs/partial` });
    expect(partial({})).toBe(true);
    expect(validate(7)).toBe(false);
  },
);
