import { isDeepStrictEqual } from "node:util";
import { asRecord } from "../support/api.ts";

/** What is to be known of a unit or an incident: dotted paths into what the API tells of it (see `byId`), and their values. */
export type Known = Readonly<Record<string, unknown>>;

/** An answer of the API with its lists as records, by the unit or the column that each item is about. */
export function byId(answer: unknown): Readonly<Record<string, unknown>> {
  const named = Object.entries(asRecord(answer)).map(([name, value]) => {
    if (!Array.isArray(value)) return [name, value] as const;
    return [
      name,
      Object.fromEntries(value.map((item) => [asRecord(item)["unit_id"] ?? asRecord(item)["column"], item])),
    ];
  });
  return Object.fromEntries(named) as Record<string, unknown>;
}

/** Each path at which what is told is not what is to be known. Ids may hold dots: a path is then given as a JSON list. */
export function differences(told: unknown, known: Known): string[] {
  return Object.entries(known).flatMap(([path, value]) => {
    const steps = path.startsWith("[") ? (JSON.parse(path) as string[]) : path.split(".");
    const found = steps.reduce<unknown>((at, name) => asRecord(at)[name], told);
    return isDeepStrictEqual(found, value)
      ? []
      : [`${steps.join(".")} is ${JSON.stringify(found)}, not ${JSON.stringify(value)}`];
  });
}
