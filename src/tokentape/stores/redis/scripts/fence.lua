-- Looks a lease up for an append to a stream on another node of a cluster.
--
-- KEYS   leases
-- ARGV   wall, steady, name, token
-- answer when it ends, as text; '0' when it is not held with this token

local _, steady = clock(ARGV[1], ARGV[2])
local known = held(redis.call('HGET', KEYS[1], ARGV[3]), steady)
if known and known.live and int(known.token) == ARGV[4] then
  return known.moment
end
return '0'
