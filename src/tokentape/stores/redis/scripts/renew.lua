-- KEYS   leases
-- ARGV   wall, steady, name, token, milliseconds
-- answer 1, or 0 when the lease was lost: somebody has taken it

local _, steady = clock(ARGV[1], ARGV[2])
local known = held(redis.call('HGET', KEYS[1], ARGV[3]), steady)
if not (known and int(known.token) == ARGV[4]) then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[3], lease(known.token, steady + ARGV[5], known.holder, known.value))
return 1
