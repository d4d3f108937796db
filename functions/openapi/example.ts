import type { Json } from "./parts.ts";

const TIME = "2026-01-31T22:05:12.000000Z";
/** Example values for fields with these names; all others follow from their schemas. */
const VALUES: Readonly<Record<string, unknown>> = {
  about: ["unit:M12"],
  address: "203.0.113.7",
  age_seconds: 12.5,
  cad: "https://cad.example.org",
  cad_url: "https://cad.example.org",
  code: "order",
  column: "time_at_facility",
  columns: ["time_en_route", "time_at_facility"],
  command: "units/status",
  command_id: "6f1c1f6e-1f0e-4b5e-9d0a-0d4f5c1f2a3b",
  confirmed_by: "echo",
  cursor: "1769897112000-0",
  destination: "General Hospital",
  epcr_id: "EPCR-90210",
  etimes: "eTimes.06",
  event: "unit:status:updated",
  events: {},
  handler: "state",
  id: "1769897112000-0",
  incident_id: "INC-2026-004711",
  incidents: ["INC-2026-004711"],
  message: "Delivered and confirmed by the CAD.",
  next: "1769897112000-0",
  ordering_keys: ["unit:M12"],
  own_command: null,
  payload: { unitId: "M12", status: "enroute" },
  problems: [],
  proof: "echoed",
  reason: null,
  redrive_of: null,
  redriven_as: null,
  response: 204,
  sends: 1,
  status: "confirmed",
  superseded_by: null,
  transport_type: "ALS",
  unit_id: "M12",
  units: ["M12"],
  url: "https://board.example.org",
  wrong: [],
};
const isTime = (name: string): boolean => /(^|_)(at|of|since|until|timestamp|attempt|success|from|to)$/.test(name);

/**
 * An answer that matches a schema. Derived, so that it cannot differ from what the bridge answers.
 * @param resolve returns the schema of a reference
 */
export function exampleOf(schema: Json, resolve: (ref: string) => Json, name = ""): unknown {
  const inner = (of: unknown, as = name) => exampleOf(of as Json, resolve, as);
  if (typeof schema["$ref"] === "string") return inner(resolve(schema["$ref"]));
  if (Array.isArray(schema["allOf"])) return Object.assign({}, ...schema["allOf"].map((part) => inner(part)));
  if ("const" in schema) return schema["const"];
  if ("example" in schema) return schema["example"];
  if (fits(VALUES[name], schema)) return VALUES[name];
  if (Array.isArray(schema["enum"])) return schema["enum"][0];
  const forms = schema["anyOf"] ?? schema["oneOf"];
  if (Array.isArray(forms)) return inner(forms.find((form: Json) => form["type"] !== "null"));
  const [type] = typesOf(schema);
  if (type === "object")
    return Object.fromEntries(
      Object.entries((schema["properties"] ?? {}) as Json).map(([key, value]) => [key, inner(value, key)]),
    );
  if (type === "array") return [inner(schema["items"] ?? {}, name.replace(/s$/, ""))];
  if (type === "integer" || type === "number") return Number(schema["minimum"] ?? 0);
  if (type === "boolean") return true;
  if (type === "string") return isTime(name) ? TIME : name || "text";
  return null;
}

const typesOf = (schema: Json): string[] => [schema["type"]].flat().filter((type) => typeof type === "string");

const typeOf = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "array" : Number.isInteger(value) ? "integer" : typeof value;

/** Whether a value matches the type of a schema, or is in its enum. */
function fits(value: unknown, schema: Json): boolean {
  if (value === undefined || "$ref" in schema) return false;
  const forms = (schema["anyOf"] ?? schema["oneOf"]) as Json[] | undefined;
  if (forms) return forms.some((form) => fits(value, form));
  if (Array.isArray(schema["enum"]) && !schema["enum"].includes(value)) return false;
  const types = typesOf(schema);
  const type = typeOf(value);
  if (type === "array" && types.includes("array"))
    return (value as unknown[]).every((item) => fits(item, (schema["items"] ?? {}) as Json));
  return types.length === 0 || types.includes(type) || (type === "integer" && types.includes("number"));
}
