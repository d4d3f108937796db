import { z } from "zod";
import type { OrderingKey, Room } from "../vocabulary/ordering-key.ts";
import type { NaiveTimes } from "../vocabulary/fields.ts";
import { type Role, ROLES } from "../vocabulary/roles.ts";

/** The audit trail that goes with every object payload. */
export const context = z.object({
  commandId: z.string().meta({ description: "The same if the command is sent again." }),
  userId: z.string().meta({ description: "Who asked for it: the token's `sub`." }),
  role: z.enum(ROLES),
  issuedAt: z.iso.datetime().meta({
    description: "When Redis accepted the command: UTC with microseconds, strictly increasing within a CAD backend.",
  }),
});
export type Context = z.infer<typeof context>;

/** What goes over the wire: an event and its one argument. */
export interface Emit {
  event: string;
  payload: Record<string, unknown> | string;
}

/**
 * The broadcast by which the CAD shows that it handled the event. It is ours if every one of `fields` (dotted
 * paths, the first one the subject's id) has the value that was sent; absent and null are the same, and times are
 * compared as instants.
 */
export interface Echo {
  event: string;
  /**
   * What the real CAD has done by the time it broadcasts this. `write`: its database write. `relay`: it passes the event on to its
   * clients and stores nothing, even with its database down. Measured against that CAD.
   */
  proves: "write" | "relay";
  fields: readonly [subject: string, ...values: string[]];
  /** Where the subject's id is if it is not under its own name. */
  subjectAlias?: string;
  /** Those of `fields` whose values are equal in any case. */
  ignoreCase?: readonly string[];
}

/** A wrong field that only the clock, the configuration or two fields together can show. */
export interface FieldError {
  path: (string | number)[];
  message: string;
}

/**
 * The whole story of one command: who may send it, what it takes, what the CAD gets, what it must not overtake,
 * and how its delivery shows. Routes, OpenAPI, tests and the README's table are derived from it.
 */
export interface Command<Body = unknown, Given = unknown> {
  /** The path below the API's base path, without the slash. Stored with every command: never rename one. */
  name: string;
  role: Role;
  summary: string;
  description: string;
  body: z.ZodType<Body, Given>;
  check?(body: Body, when: { now: Date; naiveTimes: NaiveTimes }): FieldError[];
  /** Every unit and incident it is about: no command overtakes another that shares one. */
  keys(body: Body): [OrderingKey, ...OrderingKey[]];
  /** The events it may emit, for the docs; `wire` decides which one, and its payload. */
  emits: readonly [string, ...string[]];
  wire(body: Body, context: Context): Emit;
  /** What `wire` gives the CAD: its contract. The context comes on top of an object. */
  payload: z.ZodType<Emit["payload"]>;
  /** Absent where no CAD broadcasts anything for it. */
  echo?: Echo;
  /**
   * `sets` a value: sending it again leaves the CAD as it was, so one that went unanswered is resent in its place. `adds`: each send
   * may show or store one more, so it is never resent unless the connection broke.
   */
  effect: "sets" | "adds";
  /** It sets one of several values of its unit or incident, such as one of an incident's times: a later one need not replace it. */
  slots?: true;
  /** The room that the bridge must be in for the echo to reach it: joined before the emit. */
  needsRoom?(body: Body): Room;
  /** Only the newest value matters: a newer one takes the place of one that waits right before it. */
  latestWins?: true;
  /** Seconds after which it is not worth sending any more; absent: never. `Command-TTL` overrides it. */
  ttlSeconds?: number;
  /** Real bodies, the first of them the one that the docs and the tests show. */
  examples: readonly [Example, ...Example[]];
}

export interface Example {
  summary: string;
  body: Record<string, unknown>;
}

/** The result of `wire` must match `payload`. */
interface Declared<Body, Given, Payload extends Emit["payload"]> extends Command<Body, Given> {
  payload: z.ZodType<Payload>;
  wire(body: Body, context: Context): { event: string; payload: NoInfer<Payload> };
}

/** Declares a command; the types of body and payload follow from their schemas. */
export function defineCommand<const Name extends string, Body, Given, Payload extends Emit["payload"]>(
  command: Declared<Body, Given, Payload> & { name: Name },
) {
  return command;
}
