import { isDeepStrictEqual } from "node:util";
import { asRecord } from "../support/api.ts";

/** The expected state of a unit or an incident: dotted paths into the API's answer (see `byId`), and their values. */
export type Known = Readonly<Record<string, unknown>>;

/** An API answer with its lists turned into records, keyed by the unit or the column of each item. */
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

/** Each path whose reported value differs from the expected one. Ids may contain dots: such a path is a JSON list. */
export function differences(reported: unknown, known: Known): string[] {
  return Object.entries(known).flatMap(([path, value]) => {
    const steps = path.startsWith("[") ? (JSON.parse(path) as string[]) : path.split(".");
    const found = steps.reduce<unknown>((at, name) => asRecord(at)[name], reported);
    return isDeepStrictEqual(found, value)
      ? []
      : [`${steps.join(".")} is ${JSON.stringify(found)}, not ${JSON.stringify(value)}`];
  });
}
