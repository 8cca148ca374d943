-- Creates a stream, unless there is one.
--
-- KEYS   state, log, keys, producers
-- ARGV   wall, steady, epoch, config, idle, after_close, expires_at, max_bytes; then the fields to answer with
-- answer those fields of the stream that is there now

local wall, steady = clock(ARGV[1], ARGV[2])
local function answer()
  return redis.call('HMGET', KEYS[1], unpack(ARGV, 9))
end
if load(KEYS[1], wall, steady) then
  return answer()
end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
local idle, expires_at = tonumber(ARGV[5]), tonumber(ARGV[7])
local idle_until = idle > 0 and steady + idle or 0
redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'config', ARGV[4], 'first', '1', 'last', '0', 'bytes', '0',
  'created_at', int(wall), 'appended_at', '0', 'closed_at', '0',
  'idle', ARGV[5], 'after_close', ARGV[6], 'expires_at', ARGV[7], 'max_bytes', ARGV[8],
  'idle_until', int(idle_until), 'closed_until', '0')
local answered = answer()
expire({idle_until = idle_until, closed_until = 0, expires_at = expires_at}, 0, wall, steady)
return answered
