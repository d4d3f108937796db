import { z } from "zod";
import type { OrderingKey, Room } from "../vocabulary/ordering-key.ts";
import type { NaiveTimes } from "../vocabulary/fields.ts";
import { type Role, ROLES } from "../vocabulary/roles.ts";

/** The audit context of every object payload. */
export const context = z.object({
  commandId: z.string().meta({ description: "The same if the command is sent again." }),
  userId: z.string().meta({ description: "Who asked for it: the token's `sub`." }),
  role: z.enum(ROLES),
  issuedAt: z.iso.datetime().meta({
    description: "When Redis accepted the command: UTC with microseconds, strictly increasing within a CAD backend.",
  }),
});
export type Context = z.infer<typeof context>;

/** What goes over the wire: an event and its only argument. */
export interface Emit {
  event: string;
  payload: Record<string, unknown> | string;
}

/**
 * The broadcast that shows that the CAD handled the event. It is the command's own if every one of `fields` (dotted paths, the
 * first one the subject's id) has the sent value; absent and null are equal, and times are compared as instants.
 */
export interface Echo {
  event: string;
  /**
   * What the real CAD has done when it broadcasts this, as measured. `write`: its database write. `relay`: it only forwards the
   * event to its clients and stores nothing, even with its database down.
   */
  proves: "write" | "relay";
  fields: readonly [subject: string, ...values: string[]];
  /** Path of the subject's id if it has another name there. */
  subjectAlias?: string;
  /** The `fields` that are compared case-insensitively. */
  ignoreCase?: readonly string[];
}

/** An invalid field that only the clock, the configuration or a combination of fields reveals. */
export interface FieldError {
  path: (string | number)[];
  message: string;
}

/**
 * One command as a whole: who may send it, its body, its payload for the CAD, its ordering keys, and its confirmation. Routes,
 * OpenAPI, tests and tables of the docs are derived from it.
 */
export interface Command<Body = unknown, Given = unknown> {
  /** The path below the API's base path, without the slash. Stored with every command: never rename one. */
  name: string;
  role: Role;
  summary: string;
  description: string;
  body: z.ZodType<Body, Given>;
  check?(body: Body, when: { now: Date; naiveTimes: NaiveTimes }): FieldError[];
  /** Every unit and incident it concerns: commands that share one are never reordered. */
  keys(body: Body): [OrderingKey, ...OrderingKey[]];
  /** The events it may emit, for the docs; `wire` selects one of them and its payload. */
  emits: readonly [string, ...string[]];
  wire(body: Body, context: Context): Emit;
  /** The contract of the payload that `wire` builds. An object also gets the context. */
  payload: z.ZodType<Emit["payload"]>;
  /** Absent if no CAD broadcasts anything for it. */
  echo?: Echo;
  /**
   * `sets` a value: sending it again leaves the CAD unchanged, so an unanswered one is resent in its place. `adds`: each send may
   * display or store one more, so it is only resent if the connection broke.
   */
  effect: "sets" | "adds";
  /** It sets one of several values of its unit or incident, such as one of an incident's times: a later command need not replace it. */
  slots?: true;
  /** The room that the bridge must join before the emit, to receive the echo. */
  needsRoom?(body: Body): Room;
  /** Only the newest value matters: a newer command replaces one that waits right before it. */
  latestWins?: true;
  /** Time to live, s; absent: unlimited. `Command-TTL` overrides it. */
  ttlSeconds?: number;
  /** Real bodies; docs and tests show the first one. */
  examples: readonly [Example, ...Example[]];
}

export interface Example {
  summary: string;
  body: Record<string, unknown>;
}

/** Requires the result of `wire` to match `payload`. */
interface Declared<Body, Given, Payload extends Emit["payload"]> extends Command<Body, Given> {
  payload: z.ZodType<Payload>;
  wire(body: Body, context: Context): { event: string; payload: NoInfer<Payload> };
}

/** Declares a command; the types of body and payload are inferred from their schemas. */
export function defineCommand<const Name extends string, Body, Given, Payload extends Emit["payload"]>(
  command: Declared<Body, Given, Payload> & { name: Name },
) {
  return command;
}
