-- Creates a stream, unless there is one.
--
-- KEYS   state, log
-- ARGV   wall, steady, epoch, config, idle, after_close, expires_at, max_bytes; then the fields to answer with
-- answer those fields of the stream that is there now

local wall, steady = clock(ARGV[1], ARGV[2])
local function answer()
  return redis.call('HMGET', KEYS[1], unpack(ARGV, 9))
end
if load(KEYS[1], wall, steady) then
  return answer()
end
redis.call('UNLINK', KEYS[1], KEYS[2])
local s = {1, 0, 0, 0, 0, tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), 0, 0, ARGV[3], ''}
s[IDLE_UNTIL] = s[IDLE] > 0 and steady + s[IDLE] or 0
redis.call('HSET', KEYS[1], 'state', pack(s), 'config', ARGV[4], 'created_at', int(wall))
local answered = answer()
expire(s, 0, wall, steady)
return answered
