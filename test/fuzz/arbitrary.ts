import * as fc from "fast-check";

type Schema = Record<string, unknown>;
export type Resolve = (ref: string) => Schema;

/** Values that fit a JSON Schema, as far as it is used by the API's own document: what it does not know may be anything. */
export function fitting(schema: Schema, resolve: Resolve): fc.Arbitrary<unknown> {
  const inner = (s: unknown) => fitting(s as Schema, resolve);
  if (typeof schema["$ref"] === "string") return inner(resolve(schema["$ref"]));
  const union = schema["anyOf"] ?? schema["oneOf"];
  if (Array.isArray(union)) return fc.oneof(...union.map(inner));
  if (Array.isArray(schema["enum"])) return fc.constantFrom(...(schema["enum"] as unknown[]));
  if ("const" in schema) return fc.constant(schema["const"]);
  switch (schema["type"]) {
    case "string":
      return text(schema);
    case "integer":
      return fc.integer({ min: bound(schema, "minimum", -(2 ** 31)), max: bound(schema, "maximum", 2 ** 31 - 1) });
    case "number":
      return fc.double({
        min: bound(schema, "minimum", -1e9),
        max: bound(schema, "maximum", 1e9),
        noNaN: true,
      });
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    case "array":
      return Array.isArray(schema["prefixItems"])
        ? fc.tuple(...schema["prefixItems"].map(inner))
        : fc.array(inner(schema["items"] ?? {}), { maxLength: 4 });
    case "object":
      return object(schema, inner);
    default:
      return fc.jsonValue();
  }
}

const bound = (schema: Schema, name: string, otherwise: number): number => {
  const value = schema[name];
  return typeof value === "number" && Math.abs(value) < 2 ** 52 ? value : otherwise;
};

function text(schema: Schema): fc.Arbitrary<string> {
  const minLength = bound(schema, "minLength", 0);
  const lengths = { minLength, maxLength: Math.max(minLength, Math.min(bound(schema, "maxLength", 40), 40)) };
  if (schema["format"] === "date-time")
    return fc.date({ min: new Date(0), max: new Date("2026-01-01"), noInvalidDate: true }).map((d) => d.toISOString());
  // A pattern with what the generator does not know (looking behind) is met by short plain words well enough.
  return fc.oneof(
    fc.string({ ...lengths, unit: "grapheme" }),
    fc.constantFrom("M12", "unit:M12", "INC-1").filter((s) => s.length >= minLength),
  );
}

function object(schema: Schema, inner: (s: unknown) => fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const properties = (schema["properties"] ?? {}) as Record<string, unknown>;
  const required = (schema["required"] ?? []) as string[];
  const model = Object.fromEntries(Object.entries(properties).map(([name, s]) => [name, inner(s)]));
  if (Object.keys(model).length === 0) return fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 3 });
  return fc.record(model, { requiredKeys: required.filter((name) => name in model) });
}

/** What is awkward: the ends of ranges, words that mean something to an engine, characters that are none. */
export const awkward: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, "", " ", "\0", "\ud800", "\u202e", "é\u0301", "__proto__", "constructor", "NaN"),
  fc.constantFrom<unknown>(0, -0, 1e308, -1e308, 2 ** 53 + 2, 5e-324, [], {}, [[]], { __proto__: null }),
  fc.constantFrom("1e999", "../../etc/passwd", "{{7*7}}", "'; FLUSHALL --", "a".repeat(10_000), "\r\nX-A: b"),
  fc.jsonValue({ maxDepth: 4 }),
  fc.string({ unit: "binary", maxLength: 200 }),
);

/** A value with one part of it, anywhere, put out by something awkward, taken away, or added to. */
export function mutated(value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc
    .tuple(value, awkward, fc.nat(), fc.constantFrom("replace", "remove", "add"))
    .map(([whole, odd, where, how]) => {
      const copy: unknown = structuredClone(whole);
      const places = [...placesOf(copy)];
      const place = places[where % Math.max(1, places.length)];
      if (!place) return odd;
      const [holder, key] = place;
      if (how === "remove") Reflect.deleteProperty(holder, key);
      else Reflect.set(holder, how === "add" ? `${key}_` : key, odd);
      return copy;
    });
}

function* placesOf(value: unknown): Generator<[holder: object, key: string]> {
  if (typeof value !== "object" || value === null) return;
  for (const key of Object.keys(value)) {
    yield [value, key];
    yield* placesOf((value as Record<string, unknown>)[key]);
  }
}

/** Texts that are no JSON, or JSON that no serialiser would write. */
export const oddTexts: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom("", "{", "[]", "null", '"', "{}{}", "\ufeff{}", '{"a":1,"a":2}', '{"__proto__":{"admin":true}}'),
  fc.constantFrom(
    '{"constructor":{"prototype":{"x":1}}}',
    '{"a":1e999}',
    '{"a":"\\ud800"}',
    '{"a":"\u0000"}',
    "{'a':1}",
  ),
  fc.nat({ max: 20_000 }).map((depth) => `${"[".repeat(depth)}${"]".repeat(depth)}`),
  fc.nat({ max: 5000 }).map((depth) => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`),
  fc.string({ unit: "binary", maxLength: 300 }),
);
