-- Adds, changes or keeps a member.
--
-- KEYS   members (id to arrival and data), ends (ids by the end of their time)
-- ARGV   wall, steady, id, data, milliseconds
-- answer 1 when it was not there before

local _, steady = clock(ARGV[1], ARGV[2])
-- Those who have gone are cleared away, a few at each call, also where nobody ever asks who is there.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', int(steady), 'LIMIT', 0, 100)) do
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
end
local ends = redis.call('ZSCORE', KEYS[2], ARGV[3])
local known = redis.call('HGET', KEYS[1], ARGV[3])
local new = not known or not ends or tonumber(ends) <= steady
local arrival
if new then
  local time = redis.call('TIME')
  arrival = int(time[1] * 1000000 + time[2])
else
  arrival = string.match(known, '^%d+')
end
redis.call('HSET', KEYS[1], ARGV[3], arrival .. ' ' .. ARGV[4])
redis.call('ZADD', KEYS[2], int(steady + ARGV[5]), ARGV[3])
local latest = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
for index = 1, 2 do
  redis.call('PEXPIRE', KEYS[index], int(math.max(latest[2] - steady, 1)))
end
return new and 1 or 0
