-- KEYS   state, log
-- ARGV   wall, steady
-- answer 1, or 0 when there is no such stream

local wall, steady = clock(ARGV[1], ARGV[2])
local known = load(KEYS[1], wall, steady)
redis.call('UNLINK', KEYS[1], KEYS[2])
return known and 1 or 0
