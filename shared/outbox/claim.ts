import type { OrderingKey } from "../vocabulary/ordering-key.ts";
import { parseList } from "../util/json.ts";
import { defineScript, integer, type ScriptReply, string, strings } from "../redis/script.ts";
import type { Role } from "../vocabulary/roles.ts";
import { isSealed, type SealError, tampered } from "../sealing/seal.ts";
import type { Micros } from "../util/time.ts";
import { type Authenticator, believedTime, doubtOf, EXPIRY_SLACK_US, unlessRemoved } from "./authentic.ts";
import { EXPIRED_SENT, EXPIRED_UNSENT, PRELUDE, SUPERSEDED } from "./lua.ts";

/**
 * For scripts with the local `owner` and the arguments `keptMs` and `deadKeptMs`: begin(id, unsent) answers what BEGIN does for one id. With
 * `unsent`, {'ask'} for one that may be in flight: only its worker knows.
 */
export const BEGIN_ONE = `local function next_in_all(id, keys)
  local following = redis.call('LINDEX', queue(keys[1]), 1)
  for i = 2, #keys do
    if redis.call('LINDEX', queue(keys[i]), 1) ~= following then return false end
  end
  return following
end

local function begin(id, unsent)
  if not owner then return {'not-owner'} end
  local r = redis.call('HMGET', record(id), 'kind', 'keys', 'body', 'user', 'role', 'accepted_at', 'expires_at',
    'latest', 'state', 'sends', 'early', 'fingerprint', 'ttl', 'redrive_of', 'issued_at', 'head', 'trace')
  local kind, keys_json, state, sends = r[1], r[2], r[9], tonumber(r[10])
  if not kind then return {'gone'} end
  if unsent and state ~= 'queued' then return {'ask'} end
  local keys = cjson.decode(keys_json)
  if is_final(state) then return {'settled', unpack(runnable_heads(keys))} end
  if not first_everywhere(id, keys) then return {'waiting'} end
  local left = rest_left(id)
  if left > 0 and r[11] ~= '1' then return {'resting', whole(left)} end
  if r[7] and now >= tonumber(r[7]) then
    local why = sends == 0 and '${EXPIRED_UNSENT}' or '${EXPIRED_SENT}'
    finish(id, keys, 'expired', args.deadKeptMs, why, '')
    return {'settled', unpack(runnable_heads(keys))}
  end
  -- Latest wins: one that was never sent steps aside for a newer one right behind it.
  if r[8] == '1' and sends == 0 then
    local newer = next_in_all(id, keys)
    local its = newer and redis.call('HMGET', record(newer), 'kind', 'keys')
    if its and its[1] == kind and its[2] == keys_json then
      finish(id, keys, 'superseded', args.keptMs, '${SUPERSEDED}', newer)
      return {'settled', unpack(runnable_heads(keys))}
    end
  end
  redis.call('HSET', record(id), 'state', 'sent', 'sends', sends + 1, 'sent_at', whole(now))
  redis.call('ZADD', RUNNABLE, 'XX', now, id)
  return {'send', kind, keys_json, r[3], r[4], r[5], r[6], sends + 1, whole(now), r[7], r[12], r[8], r[13], r[14], r[15], r[16], r[17]}
end
`;

/**
 * Asked right before every send: may this message go out now, and what is it?
 * For each id one of {'not-owner'}, {'gone'},
 * {'waiting'} (not first in its queues), {'resting', us} (time until its retry), {'settled', heads...} or
 * {'send', kind, keys, body, user, role, accepted_at, sends, now, expires_at, fingerprint, latest, ttl, redrive_of, issued_at, head, trace}.
 */
export const BEGIN = defineScript(
  "outboxBegin",
  { token: string, keptMs: integer, deadKeptMs: integer, ids: strings },
  `${PRELUDE}
local token = args.token
local owner = redis.call('GET', LEASE) == token
${BEGIN_ONE}
local answers = {}
for i, id in ipairs(args.ids) do answers[i] = begin(id) end
return answers
`,
);

export interface ToSend {
  answer: "send";
  kind: string;
  keys: OrderingKey[];
  body: string;
  user: string;
  role: Role;
  acceptedAt: Micros;
  /** How often it was begun, this time included. */
  sends: number;
  /** When this time, by Redis's clock, and by `performance.now()` of this process. */
  begunAt: Micros;
  begunHere: number;
  /** When Redis says that it was accepted; `acceptedAt` is what of it is to be believed. */
  storedAcceptedAt: string;
  /** It sends a dead letter again. */
  redriven: boolean;
  /** The `traceparent` that it was accepted with. */
  traceparent?: string;
  /** Why it is not to be believed: it was changed in Redis, or cannot be checked. */
  doubt?: SealError;
}

export type Begun =
  | ToSend
  /** It is final; these are runnable now. */
  | { answer: "settled"; runnable: string[] }
  /** Another one is before it in one of its queues. */
  | { answer: "waiting" }
  /** Its retry is not due yet: it is to be asked about again then. */
  | { answer: "resting"; inMs: number }
  /** It has no record, and cannot be sent: it is to give way. */
  | { answer: "gone" }
  /** The lease is not this worker's: nothing may be sent. */
  | { answer: "not-owner" };

/** The checks of a record's authenticity. */
export type RecordChecks = Pick<Authenticator, "checkHead" | "openTrace">;

/** What BEGIN answered for one id. */
export function parseBegun(id: string, [answer, ...rest]: ScriptReply[], authentic: RecordChecks): Begun {
  switch (answer) {
    case "send":
      return parseToSend(
        id,
        rest.map((value) => (value === null ? "" : String(value))),
        authentic,
      );
    case "settled":
      return { answer, runnable: rest.map(String) };
    case "resting":
      return { answer, inMs: Number(rest[0]) / 1000 };
    case "waiting":
    case "gone":
    case "not-owner":
      return { answer };
    default:
      throw new Error("the begin script answered in a form that this version does not know");
  }
}

function parseToSend(id: string, values: readonly string[], authentic: RecordChecks): ToSend {
  const [kind = "", keys = "[]", body = "null", user = "", role = "", accepted = "", sends, now, expires = ""] = values;
  const [fingerprint = "", latest = "", ttl = "", redriveOf = "", issuedAt = "", mac, trace = ""] = values.slice(9);
  const acceptedAt = believedTime(Number(accepted), issuedAt === "" ? undefined : Number(issuedAt));
  let traceparent: string | undefined;
  const doubt = doubtOf(() => {
    const head = { id, kind, keys, user, role, fingerprint, latest, ttl, redriveOf, issuedAt };
    unlessRemoved(() => authentic.checkHead(head, mac), issuedAt !== "" || isSealed(body));
    // Of a record from before there were MACs it is not known.
    if (mac !== "" && expires !== (ttl === "" ? "" : String(Number(accepted) + Number(ttl)))) throw tampered("record");
    if (ttl !== "" && Number(now) > acceptedAt + Number(ttl) + EXPIRY_SLACK_US) throw tampered("record");
    if (trace !== "") traceparent = authentic.openTrace(id, trace);
  });
  return {
    ...({ answer: "send", kind, keys: parseKeys(keys), body, user, role: role as Role, acceptedAt } as const),
    ...{ sends: Number(sends), begunAt: Number(now), begunHere: performance.now(), storedAcceptedAt: accepted },
    redriven: redriveOf !== "",
    ...(traceparent !== undefined && { traceparent }),
    ...(doubt && { doubt }),
  };
}

/** A record's ordering keys; none if it is gone. */
export const parseKeys = (json: string | null | undefined) => (parseList(json ?? "[]") ?? []) as OrderingKey[];

/**
 * Takes back a begin after which nothing was sent: the message waits in its place, as if it had not been begun.
 */
export const PUT_BACK = defineScript(
  "outboxPutBack",
  { token: string, id: string },
  `${PRELUDE}
local id = args.id
if redis.call('GET', LEASE) ~= args.token or redis.call('HGET', record(id), 'state') ~= 'sent' then return 0 end
if redis.call('HINCRBY', record(id), 'sends', -1) < 1 then
  redis.call('HSET', record(id), 'state', 'queued', 'sends', 0)
  redis.call('HDEL', record(id), 'sent_at')
end
return 1
`,
);
