-- A page of a stream; reading renews its idle time.
--
-- KEYS   state, log, keys, producers
-- ARGV   wall, steady, after, max_bytes, max_records
-- answer {OK, epoch, last, closed, record…}; the first record has the offset after + 1, and the rest follow on

local wall, steady = clock(ARGV[1], ARGV[2])
local after, max_bytes, max_records = tonumber(ARGV[3]), tonumber(ARGV[4]), math.max(tonumber(ARGV[5]), 1)
local s = load(KEYS[1], wall, steady)
if not s then
  return {NOT_FOUND}
end
if s.idle > 0 then
  s.idle_until = steady + s.idle
  redis.call('HSET', KEYS[1], 'idle_until', int(s.idle_until))
  expire(s, wall, steady)
end
if after > s.last then
  return {FUTURE, s.last}
end
if after + 1 < s.first then
  return {TRIMMED, s.first}
end

local answer = {OK, s.epoch, s.last, s.closed_at > 0 and 1 or 0}
local size, count = 0, 0
while after < s.last and count < max_records do
  -- As many as should fit, by their size on average: the server holds what it takes from the log for a moment.
  local fit = math.ceil((max_bytes - size) * (s.last - s.first + 1) / math.max(s.bytes, 1))
  local page = redis.call('XRANGE', KEYS[2], int(after + 1), '+', 'COUNT', math.min(math.max(fit, 1), 1000, max_records - count))
  if #page == 0 or tonumber(string.match(page[1][1], '^%d+')) ~= after + 1 then
    -- The server dropped the log and kept the state: it evicts keys when its memory is full.
    return count > 0 and answer or {TRIMMED, s.last + 1}
  end
  for _, entry in ipairs(page) do
    local record = entry[2][2]
    size = size + #record
    if count > 0 and size > max_bytes then
      return answer
    end
    count = count + 1
    after = after + 1
    answer[4 + count] = record
  end
end
return answer
