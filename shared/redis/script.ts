import type { Redis } from "ioredis";
import { redisFault } from "./fault.ts";

/** One argument of a script. `T` is what the caller passes; of an object, `as` is the name that Lua has for it. */
interface Field<T> {
  /** For the type alone: never there. */
  readonly type?: T;
  readonly as?: string;
  readonly fields?: Fields;
  readonly isOptional?: true;
}
type Fields = Readonly<Record<string, Field<unknown>>>;
type TypeOf<F> = F extends Field<infer T> ? T : never;
type OptionalOf<F extends Fields> = { [K in keyof F]: F[K] extends { isOptional: true } ? K : never }[keyof F];

/** What the caller passes for these fields. */
export type ArgumentsOf<F extends Fields> = {
  readonly [K in Exclude<keyof F, OptionalOf<F>>]: TypeOf<F[K]>;
} & { readonly [K in OptionalOf<F>]?: Exclude<TypeOf<F[K]>, undefined> | undefined };

/** A text, which Lua stores as it is. Times in microseconds are texts too: Lua would write one as 1.7e+15. */
export const string: Field<string> = {};
export const strings: Field<readonly string[]> = {};
export const integer: Field<number> = {};
export const boolean: Field<boolean> = {};
/** Texts by names that only the caller knows. */
export const stringsByName: Field<Readonly<Record<string, string>>> = {};

/** An object, for which Lua has a variable or parameter of the name `as`. */
export const object = <F extends Fields>(as: string, fields: F): Field<ArgumentsOf<F>> => ({ as, fields });
/** A list of such objects. */
export const objects = <F extends Fields>(as: string, fields: F): Field<readonly ArgumentsOf<F>[]> => ({ as, fields });
/** May be absent: nil in Lua. */
export const optional = <T>(field: Field<T>): Field<T> & { isOptional: true } => ({ ...field, isOptional: true });

/** A script of Redis: its arguments, and the Lua that reads them as `args.NAME`. */
export interface ScriptSource<F extends Fields = Fields, Payload extends string | undefined = string | undefined> {
  readonly name: string;
  readonly fields: F;
  readonly lua: string;
  /** For the type alone: never there. */
  readonly payload?: Payload;
}

/**
 * A script whose arguments are one JSON object. Throws TypeError if the Lua reads a name that is not declared, or leaves one unread:
 * in Lua itself a misspelt name is nil.
 * @param lua begins with `#!lua`; `args` is defined in its second line
 */
export function defineScript<const F extends Fields>(name: string, fields: F, lua: string): ScriptSource<F, undefined> {
  if (lua.includes("ARGV")) throw new TypeError(`script ${name}: arguments are read by name, from args`);
  return toSource(name, fields, lua);
}

/** The same with a second argument, ARGV[2]: a text so large that escaping it in JSON, and back, would cost more than the rest. */
export function definePayloadScript<const F extends Fields>(
  name: string,
  fields: F,
  lua: string,
): ScriptSource<F, string> {
  if (!/ARGV\[2\]/.test(lua)) throw new TypeError(`script ${name} does not read its payload`);
  return toSource(name, fields, lua);
}

function toSource<F extends Fields>(name: string, fields: F, lua: string): ScriptSource<F, never> {
  if (!lua.startsWith("#!lua")) throw new TypeError(`script ${name} does not begin with #!lua`);
  const problem = problemsOf("args", fields, lua)[0];
  if (problem !== undefined) throw new TypeError(`script ${name} ${problem}`);
  if (Object.keys(fields).length === 0) return { name, fields, lua };
  return { name, fields, lua: lua.replace("\n", "\nlocal args = cjson.decode(ARGV[1])\n") };
}

/** How the names in the Lua differ from those that are declared. */
function problemsOf(as: string, fields: Fields, lua: string): string[] {
  const read = new Set(Array.from(lua.matchAll(new RegExp(`\\b${as}\\.(\\w+)`, "g")), ([, name = ""]) => name));
  const own = [
    ...[...read].filter((name) => !Object.hasOwn(fields, name)).map((name) => `reads ${as}.${name}: not declared`),
    ...Object.keys(fields)
      .filter((name) => !read.has(name))
      .map((name) => `declares ${name}, but does not read ${as}.${name}`),
  ];
  const inner = Object.values(fields).flatMap((field) =>
    field.as && field.fields ? problemsOf(field.as, field.fields, lua) : [],
  );
  return [...own, ...inner];
}

export type ScriptReply = string | number | null | ScriptReply[];

/** Runs the script. Without fields it takes no argument. */
export type Script<F extends Fields = Fields, Payload extends string | undefined = undefined> = (
  ...args: [
    ...(keyof F extends never ? [] : [args: ArgumentsOf<F>]),
    ...(Payload extends string ? [payload: string] : []),
  ]
) => Promise<ScriptReply>;

/**
 * Wraps a script as a function of its arguments, for this connection and the given keys; sent by hash once Redis knows it.
 *
 * Declares one extra key that never exists. While a cluster migrates the slot of the bridge's keys, some are on each node, and a
 * script would see half of the state. A script with several keys of which one is missing gets TRYAGAIN from both nodes.
 */
export function openScript<F extends Fields, Payload extends string | undefined>(
  redis: Redis,
  { name, lua }: ScriptSource<F, Payload>,
  keys: readonly [string, ...string[]],
): Script<F, Payload> {
  const declared = [...keys, `${keys[0]}:absent`];
  redis.defineCommand(name, { numberOfKeys: declared.length, lua });
  // defineCommand adds a method with that name, which the types do not know.
  const commands = redis as unknown as Record<string, (...args: readonly string[]) => Promise<ScriptReply>>;
  return (...args) => {
    const run = commands[name];
    if (!run) throw new TypeError(`the script ${name} is not defined on this connection`);
    return run.call(redis, ...declared, ...args.map((arg) => (typeof arg === "string" ? arg : toJson(arg))));
  };
}

/** Redis's JSON rejects lone surrogates, which JSON.stringify escapes. A replacer is slow, so it runs only where one may be. */
function toJson(value: unknown): string {
  const json = JSON.stringify(value);
  if (!json.includes("\\ud")) return json;
  return JSON.stringify(value, (_name, each: unknown) => (typeof each === "string" ? each.toWellFormed() : each));
}

// A full Redis rejects scripts that may write.
const ROOM = defineScript("redisRoom", {}, "#!lua\nreturn 1");

/** Checks whether Redis accepts no more writes. @param key any key of the bridge: in a cluster, selects its node */
export function askWhetherFull(redis: Redis, key: string): () => Promise<boolean> {
  const room = openScript(redis, ROOM, [key]);
  return async () => {
    try {
      await room();
      return false;
    } catch (error) {
      if (redisFault(error) === "full") return true;
      throw error;
    }
  };
}
