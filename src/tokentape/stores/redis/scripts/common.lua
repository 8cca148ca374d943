-- Stands before each of the other scripts. Keys of a stream, in this order: state, log; both have the
-- same hash tag. Moments are whole milliseconds, 0 for never.

local OK, DUPLICATE, NOT_FOUND, GONE, FENCED, STALE, OUT_OF_TURN, CLOSED, SEQUENCE, UNSURE, FUTURE, TRIMMED, FAILED, LATER =
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13

-- Lua writes large numbers as 1e+15; offsets and moments must stay exact up to 2^53.
local function int(number)
  return string.format('%.0f', number)
end

-- An offset as the id of an entry of the log.
local function id(offset)
  return string.format('%.0f-0', offset)
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

-- The key of the state is a hash: "state" is one field, so that it is read and written by one call; "k:…" are the keys
-- of records with their offsets, "p:…" the producers, "o:…" and "places" the order in which these wrote. These are the places in "state", all numbers but the last two;
-- `BY` says who appended last, and what that round did. state.py has the same list.
local FIRST, LAST, BYTES, CLOSED_AT, APPENDED_AT, IDLE, AFTER_CLOSE, EXPIRES_AT, MAX_BYTES, IDLE_UNTIL, CLOSED_UNTIL,
  EPOCH, BY = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
local FORMAT = '<dddddddddddss'

-- The state, or nil when there is no such stream, or its retention has run out. In Redis itself a stream runs out a
-- moment later or at the same time: that only frees the memory.
local function load(key, wall, steady)
  local packed = redis.call('HGET', key, 'state')
  if not packed then
    return nil
  end
  local s = {struct.unpack(FORMAT, packed)}
  if past(s[IDLE_UNTIL], steady) or past(s[CLOSED_UNTIL], steady) or past(s[EXPIRES_AT], wall) then
    return nil
  end
  return s
end

local function pack(s)
  return struct.pack(FORMAT, unpack(s))
end

local function store(key, s)
  redis.call('HSET', key, 'state', pack(s))
end

-- Has Redis drop the stream whose keys come after KEYS[at] when its retention runs out. All its keys go in the same
-- millisecond.
local function expire(s, at, wall, steady)
  local left = math.huge
  if s[IDLE_UNTIL] > 0 then
    left = math.min(left, s[IDLE_UNTIL] - steady)
  end
  if s[CLOSED_UNTIL] > 0 then
    left = math.min(left, s[CLOSED_UNTIL] - steady)
  end
  if s[EXPIRES_AT] > 0 then
    left = math.min(left, s[EXPIRES_AT] - wall)
  end
  if left < math.huge then
    for index = at + 1, at + 2 do
      redis.call('PEXPIRE', KEYS[index], int(math.max(left, 1)))
    end
  end
end

-- A lease as it is kept: token, end, length of the holder's name; then the holder and the value. Its token is good until
-- somebody takes the lease, which others may when it is no longer live.
local function held(raw, steady)
  if not raw then
    return nil
  end
  local token, moment, length, start = string.match(raw, '^(%d+) (%d+) (%d+) ()')
  return {
    token = tonumber(token), live = steady < tonumber(moment), moment = tonumber(moment),
    holder = string.sub(raw, start, start + length - 1), value = string.sub(raw, start + length),
  }
end

local function lease(token, moment, holder, value)
  return int(token) .. ' ' .. int(moment) .. ' ' .. #holder .. ' ' .. holder .. value
end
