-- KEYS   leases, last token
-- ARGV   wall, steady, name, holder, milliseconds, value
-- answer the token, or 0 when somebody else holds it

local _, steady = clock(ARGV[1], ARGV[2])
local known = held(redis.call('HGET', KEYS[1], ARGV[3]), steady)
if known and known.live and known.holder ~= ARGV[4] then
  return 0
end
-- Tokens follow the time, so that they grow even when the server has lost those that it gave out.
local time = redis.call('TIME')
local token = math.max(tonumber(redis.call('GET', KEYS[2]) or 0) + 1, time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('SET', KEYS[2], int(token))
redis.call('HSET', KEYS[1], ARGV[3], lease(token, steady + ARGV[5], ARGV[4], ARGV[6]))
return token
