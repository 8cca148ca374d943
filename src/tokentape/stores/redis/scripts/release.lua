-- KEYS   leases
-- ARGV   wall, steady, name, token
-- answer 1, or 0 when the lease was lost: somebody has taken it

local _, steady = clock(ARGV[1], ARGV[2])
local known = held(redis.call('HGET', KEYS[1], ARGV[3]), steady)
if not (known and int(known.token) == ARGV[4]) then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[3])
return 1
