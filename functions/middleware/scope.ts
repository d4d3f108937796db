import type { Context, MiddlewareHandler } from "hono";
import type { Command } from "../../shared/commands/command.ts";
import { type OrderingKey, unitKey } from "../../shared/vocabulary/ordering-key.ts";
import { forbidden } from "./auth.ts";
import type { Caller, CallerEnv } from "../http/caller.ts";

/** The units among these keys that the caller's token does not include; none for a token without the claim `units`. */
function outside({ units }: Caller, keys: readonly OrderingKey[]): OrderingKey[] {
  if (!units) return [];
  const own = new Set(units.map(unitKey));
  return keys.filter((key) => key.startsWith("unit:") && !own.has(key));
}

/**
 * Whether the caller may read or act on these ordering keys: with the claim `units`, they must not name another unit. Keys
 * without a unit, such as an incident, are checked by role only.
 */
export const mayTouch = (caller: Caller, keys: readonly OrderingKey[]): boolean => outside(caller, keys).length === 0;

/** Refuses a command for a unit outside the caller's scope. Runs after the body was parsed. */
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
