/**
 * What stands before every script of the bridge when it runs in the simulation. The scripts themselves stay as they are: `redis`
 * means this table to them, which hands every command on to the real Redis, but for what depends on time.
 *
 * - TIME is the simulated clock's, handed over as the last of ARGV.
 * - XADD with `*` gets an id of that time.
 * - What expires is noted in a sorted set, and deleted by the first script after its time.
 * - PUBLISH is kept in a list, for the checker.
 */
const SHIM = `
local sim_now = tonumber(table.remove(ARGV))
local sim_redis = redis
local SIM_TTL, SIM_SAID = 'sim:ttl', 'sim:said'
for _, gone in ipairs(sim_redis.call('ZRANGEBYSCORE', SIM_TTL, '-inf', string.format('%.0f', sim_now))) do
  sim_redis.call('DEL', gone)
  sim_redis.call('ZREM', SIM_TTL, gone)
end
local function sim_expire(key, ms)
  sim_redis.call('ZADD', SIM_TTL, string.format('%.0f', sim_now + ms * 1000), key)
end
local function sim_set(how, name, key, value, ...)
  local rest, ms, keep = {}, nil, false
  local given = {...}
  local i = 1
  while i <= #given do
    local word = string.upper(tostring(given[i]))
    if word == 'PX' then ms = tonumber(given[i + 1]); i = i + 1
    elseif word == 'EX' then ms = given[i + 1] * 1000; i = i + 1
    elseif word == 'KEEPTTL' then keep = true
    else rest[#rest + 1] = given[i] end
    i = i + 1
  end
  local answer = how('SET', key, value, unpack(rest))
  if answer and ms then sim_expire(key, ms) elseif answer and not keep then sim_redis.call('ZREM', SIM_TTL, key) end
  return answer
end
local function sim_left(key)
  if sim_redis.call('EXISTS', key) == 0 then return -2 end
  local at = sim_redis.call('ZSCORE', SIM_TTL, key)
  return at and math.max(0, math.floor((at - sim_now) / 1000)) or -1
end
local sim_special = {
  TIME = function() return {string.format('%.0f', math.floor(sim_now / 1000000)), string.format('%.0f', sim_now % 1000000)} end,
  SET = sim_set,
  PSETEX = function(how, name, key, ms, value) return sim_set(how, 'SET', key, value, 'PX', ms) end,
  SETEX = function(how, name, key, s, value) return sim_set(how, 'SET', key, value, 'EX', s) end,
  PEXPIRE = function(how, name, key, ms)
    if sim_redis.call('EXISTS', key) == 0 then return 0 end
    sim_expire(key, ms)
    return 1
  end,
  EXPIRE = function(how, name, key, s)
    if sim_redis.call('EXISTS', key) == 0 then return 0 end
    sim_expire(key, s * 1000)
    return 1
  end,
  PERSIST = function(how, name, key) return sim_redis.call('ZREM', SIM_TTL, key) end,
  PTTL = function(how, name, key) return sim_left(key) end,
  TTL = function(how, name, key)
    local left = sim_left(key)
    return left > 0 and math.ceil(left / 1000) or left
  end,
  DEL = function(how, name, ...)
    sim_redis.call('ZREM', SIM_TTL, ...)
    return how('DEL', ...)
  end,
  PUBLISH = function(how, name, channel, message)
    sim_redis.call('RPUSH', SIM_SAID, channel, message)
    return 0
  end,
  XADD = function(how, name, ...)
    local given = {...}
    for i = 2, #given do
      if given[i] == '*' then
        given[i] = string.format('%.0f-*', math.floor(sim_now / 1000))
        break
      end
    end
    return how('XADD', unpack(given))
  end,
}
sim_special.UNLINK = sim_special.DEL
local function sim_call(how)
  return function(name, ...)
    local special = sim_special[string.upper(name)]
    if special then return special(how, name, ...) end
    return how(name, ...)
  end
end
local redis = setmetatable({ call = sim_call(sim_redis.call), pcall = sim_call(sim_redis.pcall) }, { __index = sim_redis })
`;

/** The script as it runs in the simulation. One that may not write may still have to delete what has expired. */
export function simulated(lua: string): string {
  const [first = "", ...rest] = lua.startsWith("#!") ? lua.split("\n") : ["#!lua", ...lua.split("\n")];
  const flags = first
    .replace(/^#!lua\s*/, "")
    .replace(/^flags=/, "")
    .split(",")
    .filter((flag) => flag !== "" && flag !== "no-writes");
  return `#!lua${flags.length > 0 ? ` flags=${flags.join(",")}` : ""}${SHIM}${rest.join("\n")}`;
}

/** A command that is no script runs in this one. */
export const PLAIN = simulated("return redis.call(unpack(ARGV))");
/** The same for a transaction: the commands as JSON. */
export const TRANSACTION = simulated(`
local answers = {}
for _, command in ipairs(cjson.decode(ARGV[1])) do answers[#answers + 1] = redis.call(unpack(command)) end
return answers`);
/** Puts a copy of everything into the other database. */
export const SNAPSHOT = `
for _, key in ipairs(redis.call('KEYS', '*')) do redis.call('COPY', key, key, 'DB', 1, 'REPLACE') end
return 1`;
