-- Stands before each of the other scripts. Keys of a stream, in this order: state, log, keys, producers; all have
-- the same hash tag. Moments are whole milliseconds, 0 for never.

local OK, DUPLICATE, NOT_FOUND, GONE, FENCED, STALE, OUT_OF_TURN, CLOSED, SEQUENCE, UNSURE, FUTURE, TRIMMED, FAILED, LATER =
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13

-- Lua writes large numbers as 1e+15; offsets and moments must stay exact up to 2^53.
local function int(number)
  return string.format('%.0f', number)
end

-- The server's clock, unless the caller brings its own (a test, that moves it by hand).
local function clock(wall, steady)
  if wall ~= '' then
    return tonumber(wall), tonumber(steady)
  end
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  return now, now
end

local function past(moment, now)
  return moment > 0 and now >= moment
end

-- A stream's state, or nil when there is none, or its retention has run out. In Redis itself a stream runs out a
-- moment later or at the same time: that only frees the memory.
local function load(key, wall, steady)
  local got = redis.call('HMGET', key, 'epoch', 'first', 'last', 'bytes', 'closed_at', 'sequence', 'by',
    'idle', 'after_close', 'expires_at', 'max_bytes', 'idle_until', 'closed_until')
  if not got[1] then
    return nil
  end
  local s = {
    epoch = got[1], first = tonumber(got[2]), last = tonumber(got[3]), bytes = tonumber(got[4]),
    closed_at = tonumber(got[5]), sequence = got[6], by = got[7] or '',
    idle = tonumber(got[8]), after_close = tonumber(got[9]), expires_at = tonumber(got[10]),
    max_bytes = tonumber(got[11]), idle_until = tonumber(got[12]), closed_until = tonumber(got[13]),
  }
  if past(s.idle_until, steady) or past(s.closed_until, steady) or past(s.expires_at, wall) then
    return nil
  end
  return s
end

-- Has Redis drop the stream whose keys come after KEYS[at] when its retention runs out. All its keys go in the same
-- millisecond.
local function expire(s, at, wall, steady)
  local left = math.huge
  if s.idle_until > 0 then
    left = math.min(left, s.idle_until - steady)
  end
  if s.closed_until > 0 then
    left = math.min(left, s.closed_until - steady)
  end
  if s.expires_at > 0 then
    left = math.min(left, s.expires_at - wall)
  end
  if left < math.huge then
    for index = at + 1, at + 4 do
      redis.call('PEXPIRE', KEYS[index], int(math.max(left, 1)))
    end
  end
end

-- A lease as it is kept: token, end, length of the holder's name; then the holder and the value.
local function held(raw, steady)
  if not raw then
    return nil
  end
  local token, moment, length, start = string.match(raw, '^(%d+) (%d+) (%d+) ()')
  return {
    token = tonumber(token), live = steady < tonumber(moment), moment = moment,
    holder = string.sub(raw, start, start + length - 1), value = string.sub(raw, start + length),
  }
end

local function lease(token, moment, holder, value)
  return int(token) .. ' ' .. int(moment) .. ' ' .. #holder .. ' ' .. holder .. value
end
