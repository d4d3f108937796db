import type { Redis } from "ioredis";
import { cadsKeys } from "../../shared/cads/keys.ts";
import { defineScript, integer, openScript, optional, string } from "../../shared/redis/script.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";

/** How many incidents are remembered; the one that was used longest ago gives way. */
const MAX_INCIDENTS = 100_000;
/** Retention of an unused incident, ms: the same as for its state. */
const FORGET_MS = 30 * 24 * 3_600_000;

/** In which CAD an incident was first seen; for several CADs alone. Below REDIS_PREFIX, beside the CADs' own keys. */
export interface IncidentCalls {
  /** The CAD; undefined for an incident that nothing is known of. Throws SealError for one that the bridge did not write. */
  seenIn(incident: string): Promise<string | undefined>;
  /** Remembers the CAD, unless one is remembered already: answers the one that is. */
  rememberIncident(incident: string, cad: string): Promise<string>;
}

/** Without `value` it only reads. By Redis's clock. Answers the value that holds. */
const SEEN = defineScript(
  "incidentSeen",
  { incident: string, value: optional(string), most: integer, forgetMs: integer },
  `#!lua
local incidents, used = KEYS[1], KEYS[2]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local known = redis.call('HGET', incidents, args.incident)
local at = known and tonumber(redis.call('ZSCORE', used, args.incident) or 0)
if known and at < now - args.forgetMs then known = false end
if not known and not args.value then return false end
if not known then
  redis.call('HSET', incidents, args.incident, args.value)
  known = args.value
end
redis.call('ZADD', used, string.format('%.0f', now), args.incident)
local old = redis.call('ZRANGE', used, '-inf', string.format('(%.0f', now - args.forgetMs), 'BYSCORE', 'LIMIT', 0, 100)
local over = redis.call('ZCARD', used) - args.most
if over > 0 then old = redis.call('ZRANGE', used, 0, math.min(over, 100) - 1) end
if #old > 0 then
  redis.call('HDEL', incidents, unpack(old))
  redis.call('ZREM', used, unpack(old))
end
redis.call('PEXPIRE', incidents, string.format('%.0f', args.forgetMs))
redis.call('PEXPIRE', used, string.format('%.0f', args.forgetMs))
return known`,
);

export function createIncidentCalls(redis: Redis, prefix: string, sealer: Sealer): IncidentCalls {
  const keys = cadsKeys(prefix);
  const seen = openScript(redis, SEEN, [keys.incidents, keys.incidentsUsed]);
  const macOf = (incident: string, cad: string) => sealer.mac(["incident-cad", prefix, incident, cad]);

  /** The CAD of a stored value. Throws SealError. */
  function open(incident: string, stored: string): string {
    const [cad = "", mac] = stored.split(" ", 2);
    sealer.verify(["incident-cad", prefix, incident, cad], mac);
    return cad;
  }
  const bounds = { most: MAX_INCIDENTS, forgetMs: FORGET_MS };
  return {
    async seenIn(incident) {
      const known = await seen({ incident, ...bounds });
      return typeof known === "string" ? open(incident, known) : undefined;
    },
    async rememberIncident(incident, cad) {
      const value = `${cad} ${macOf(incident, cad)}`.trimEnd();
      const known = await seen({ incident, value, ...bounds });
      return typeof known === "string" ? open(incident, known) : cad;
    },
  };
}
