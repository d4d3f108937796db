import { z } from "zod";
import { takesNull } from "../../shared/vocabulary/request-object.ts";
import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import { commandReceipt, receipt } from "../../shared/commands/receipt.ts";
import { entryResponse } from "../../shared/journal/to-response.ts";
import { incidentState, unitState } from "../../shared/state/to-response.ts";
import { acceptedAnswer } from "../routes/commands.ts";
import { health } from "../routes/health.ts";
import { reconnectAnswer } from "../routes/reconnect.ts";
import { PROBLEMS, type ProblemCode } from "../http/problem.ts";
import type { Endpoint } from "../../shared/vocabulary/roles.ts";

export type Json = Record<string, unknown>;

/** The `info` of both documents. */
export const INFO = { title: "Socket Bridge", version: "0.1.0" } as const;

/** The named schemas of the document: other schemas refer to them. */
const COMPONENTS = {
  Accepted: acceptedAnswer,
  Receipt: receipt,
  CommandReceipt: commandReceipt,
  Health: health,
  Event: entryResponse,
  Unit: unitState,
  Incident: incidentState,
  Reconnected: reconnectAnswer,
} as const satisfies Record<string, z.ZodType>;
const componentNames = new Map<unknown, string>(Object.entries(COMPONENTS).map(([name, schema]) => [schema, name]));

export const componentSchemas = (): Json =>
  Object.fromEntries(Object.entries(COMPONENTS).map(([name, schema]) => [name, schemaOf(schema)]));

/** Converts a schema to JSON Schema 2020-12, as used by OpenAPI 3.1. Removes the bounds of JavaScript's integers. */
export const schemaOf = (schema: z.ZodType, io: "input" | "output" = "output"): Json => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema, path }) => {
      const component = componentNames.get(zodSchema);
      if (component !== undefined && path.length > 0) {
        for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
        jsonSchema.$ref = `#/components/schemas/${component}`;
        return;
      }
      if (io === "input" && takesNull(zodSchema)) allowNull(jsonSchema);
      // An answer may contain more: here through allOf, or in later versions.
      if (io === "output" && jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (jsonSchema.minimum !== Number.MIN_SAFE_INTEGER) return;
      if (io === "output") jsonSchema.minimum = 0;
      else delete jsonSchema.minimum;
    },
  }) as Json;
  return rest;
};

/** Optional fields of a request may be null, which means absent. */
function allowNull({ properties = {}, required = [] }: z.core.JSONSchema.BaseSchema): void {
  for (const [name, field] of Object.entries(properties)) {
    if (typeof field !== "object" || required.includes(name)) continue;
    const { description, default: byDefault, anyOf, ...rest } = field;
    properties[name] = {
      ...(description !== undefined && { description }),
      ...(byDefault !== undefined && { default: byDefault }),
      anyOf: [...(anyOf ?? [rest]), { type: "null" }],
    };
  }
}

const keyKinds = (keys: readonly OrderingKey[]): string[] => keys.map((key) => key.split(":", 1)[0] ?? key);
/** The ordering keys of messages without their ids: each distinct combination, such as unit, or unit and incident. */
export function orderedBy(messages: readonly (readonly OrderingKey[])[]): string[][] {
  const ways = new Map(messages.map(keyKinds).map((kinds) => [kinds.join(), kinds]));
  return [...ways.values()].toSorted((a, b) => a.length - b.length);
}
export const json = (schema: Json, more: Json = {}): Json => ({ "application/json": { schema, ...more } });
export const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });

/** The error responses, one per status, with all of its codes. */
export function problems(...codes: ProblemCode[]): Json {
  const byStatus = Map.groupBy(codes, (code) => PROBLEMS[code].status);
  return Object.fromEntries(
    [...byStatus].map(([status, these]) => [
      String(status),
      {
        description: these.map((code) => `\`${code}\`: ${PROBLEMS[code].title}. ${PROBLEMS[code].hint}`).join("\n\n"),
        ...((status === 401 || status === 403) && {
          headers: { "WWW-Authenticate": header("How to authenticate (RFC 6750).") },
        }),
        ...(status === 429 && {
          headers: {
            "Retry-After": header("Seconds to wait before trying again.", "integer"),
            RateLimit: header("Remaining quota and its reset time (draft-ietf-httpapi-ratelimit-headers-10)."),
            "RateLimit-Policy": header("The limits and their windows."),
          },
        }),
        ...(status === 503 && {
          headers: { "Retry-After": header("Seconds to wait before trying again.", "integer") },
        }),
        content: {
          "application/problem+json": {
            schema: ref("Problem"),
            examples: Object.fromEntries(these.map((code) => [code, { value: problemExample(code) }])),
          },
        },
      },
    ]),
  );
}
function problemExample(code: ProblemCode): Json {
  const { status, title, hint } = PROBLEMS[code];
  const wrong = { "invalid-body": "/unit_id", "invalid-query": "/limit" } as const;
  const more = code in wrong ? { errors: [{ pointer: wrong[code as keyof typeof wrong], detail: "is wrong" }] } : {};
  return { type: `urn:problem-type:socket-bridge:${code}`, title, status, code, detail: `${title}.`, hint, ...more };
}

export const header = (description: string, type = "string"): Json => ({ description, schema: { type } });

/** The problems of every endpoint that authenticates, and of every one that uses Redis. */
export const GATED: ProblemCode[] = [
  "unauthenticated",
  "forbidden",
  "wrong-org",
  "keys-unavailable",
  "too-many-requests",
];
export const REDIS: ProblemCode[] = [
  ...(["redis-unavailable", "redis-moving", "redis-refused", "redis-unsuitable"] as const),
  "forged-record",
  "internal",
];

/** A route other than a command, as the document describes it. */
export interface Route {
  endpoint: Endpoint;
  id: string;
  tag: string;
  summary: string;
  description?: string;
  answers: Json;
  problems?: ProblemCode[];
  query?: Json;
  /** The request headers it reads, with descriptions. */
  headers?: Readonly<Record<string, string>>;
  body?: Json;
}

export const answer = (description: string, schema: Json): Json => ({ description, content: json(schema) });
