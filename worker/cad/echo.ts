import type { Echo } from "../../shared/commands/command.ts";

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

/** The value at a dotted path; undefined where the path leads nowhere. */
export function valueAt(payload: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), payload);
}

/**
 * True if `received` is the echo of `sent`. Where the CAD kept the command's id, the id decides; else every one of the
 * echo's fields must have the value that was sent.
 */
export function isEchoOf(echo: Echo, sent: unknown, received: unknown, commandId: string): boolean {
  const id = valueAt(received, "context.commandId");
  if (typeof id === "string") return id === commandId;
  return echo.fields.every((field) => {
    const [a, b] = [
      valueAt(sent, field),
      field === echo.fields[0] ? subjectOf(echo, received) : valueAt(received, field),
    ];
    return echo.ignoreCase?.includes(field) ? same(lowerCase(a), lowerCase(b)) : same(a, b);
  });
}

/** The id of what an echo is about. */
export function subjectOf({ fields: [name], subjectAlias }: Pick<Echo, "fields" | "subjectAlias">, received: unknown) {
  const subject = valueAt(received, name) ?? undefined;
  return subject === undefined && subjectAlias !== undefined ? valueAt(received, subjectAlias) : subject;
}

const lowerCase = (value: unknown) => (typeof value === "string" ? value.toLowerCase() : value);

const INSTANT = /^\d{4}-\d\d-\d\dT/;

/** Equal as JSON values; absent and null are the same, an id may have become a number, times are instants. */
function same(a: unknown, b: unknown): boolean {
  if (a === undefined || a === null) return b === undefined || b === null;
  if (isObject(a) && isObject(b)) {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...keys].every((key) => same(a[key], b[key]));
  }
  if (typeof a === "string" && typeof b === "string" && INSTANT.test(a) && INSTANT.test(b)) {
    return a === b || Date.parse(a) === Date.parse(b);
  }
  return a === b || (typeof a === "string" && typeof b === "number" && a === String(b));
}
