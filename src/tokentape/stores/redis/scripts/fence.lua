-- Looks a lease up for an append to a stream on another node of a cluster, and sees to it that nobody else takes it
-- before that is done.
--
-- KEYS   leases
-- ARGV   wall, steady, name, token, milliseconds that it is to be held at the least
-- answer when it ends, as text; '0' when it is not held with this token

local _, steady = clock(ARGV[1], ARGV[2])
local known = held(redis.call('HGET', KEYS[1], ARGV[3]), steady)
if not (known and int(known.token) == ARGV[4]) then
  return '0'
end
local moment = math.max(known.moment, steady + ARGV[5])
if moment > known.moment then
  redis.call('HSET', KEYS[1], ARGV[3], lease(known.token, moment, known.holder, known.value))
end
return int(moment)
