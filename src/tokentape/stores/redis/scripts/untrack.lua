-- KEYS   members, ends
-- ARGV   wall, steady, id
-- answer 1, or 0 when it was not there

local _, steady = clock(ARGV[1], ARGV[2])
local ends = redis.call('ZSCORE', KEYS[2], ARGV[3])
redis.call('HDEL', KEYS[1], ARGV[3])
redis.call('ZREM', KEYS[2], ARGV[3])
return ends and tonumber(ends) > steady and 1 or 0
