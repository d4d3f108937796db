import type { Context, MiddlewareHandler } from "hono";
import type { Command } from "../../shared/commands/command.ts";
import { type OrderingKey, unitKey } from "../../shared/vocabulary/ordering-key.ts";
import { forbidden } from "./auth.ts";
import type { Caller, CallerEnv } from "../http/caller.ts";

/** The units among these keys that the caller's token does not name; none for a token without the claim `units`. */
function outside({ units }: Caller, keys: readonly OrderingKey[]): OrderingKey[] {
  if (!units) return [];
  const own = new Set(units.map(unitKey));
  return keys.filter((key) => key.startsWith("unit:") && !own.has(key));
}

/**
 * Whether the caller may see or do what has these ordering keys: a token with the claim `units` only what names no other
 * unit. What names none, such as an incident, is left to the role.
 */
export const mayTouch = (caller: Caller, keys: readonly OrderingKey[]): boolean => outside(caller, keys).length === 0;

/** Refuses a command that is about a unit outside the caller's scope. Comes after the body was parsed. */
export function requireScope(command: Command): MiddlewareHandler<CallerEnv> {
  return async (c: Context<CallerEnv, string, { out: { json: unknown } }>, next) => {
    const about = command.keys(c.req.valid("json"));
    c.set("about", about);
    const units = outside(c.get("caller"), about).map((key) => key.slice("unit:".length));
    if (units.length > 0) {
      throw forbidden("outside-units", `The token's units claim does not contain ${units.join(", ")}.`, { units });
    }
    await next();
  };
}
