-- Gives a stream a new epoch when it has lost its end: the server came back with an older copy of its data, or a
-- replica took over that had not received everything. Without that the offsets that were lost would be given out
-- anew, and a watcher's old position would point into records that it never saw.
--
-- KEYS   state, log, keys, producers
-- ARGV   wall, steady, channel, name, epoch, last offset that was seen, new epoch
-- answer 1 when it was given a new epoch

local wall, steady = clock(ARGV[1], ARGV[2])
local s = load(KEYS[1], wall, steady)
if not s or s.epoch ~= ARGV[5] or s.last >= tonumber(ARGV[6]) then
  return 0
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[7])
redis.call('PUBLISH', ARGV[3], cmsgpack.pack({'', {{ARGV[4], ARGV[7], s.last, s.closed_at > 0}}}))
return 1
