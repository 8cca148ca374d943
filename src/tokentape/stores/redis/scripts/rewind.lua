-- Gives a stream a new epoch when it has lost its end: the server came back with an older copy of its data, or a
-- replica took over that had not received everything. Without that the offsets that were lost would be given out
-- anew, and a watcher's old position would point into records that it never saw.
--
-- KEYS   state, log
-- ARGV   wall, steady, channel, name, epoch, last offset that was seen, new epoch
-- answer 1 when it was given a new epoch

local wall, steady = clock(ARGV[1], ARGV[2])
local s = load(KEYS[1], wall, steady)
if not s or s[EPOCH] ~= ARGV[5] or s[LAST] >= tonumber(ARGV[6]) then
  return 0
end
s[EPOCH] = ARGV[7]
store(KEYS[1], s)
redis.call('PUBLISH', ARGV[3], cmsgpack.pack({'', {{ARGV[4], ARGV[7], s[LAST], s[CLOSED_AT] > 0}}}))
return 1
