-- A page each of some streams; reading renews their idle time.
--
-- KEYS   state and log of each stream
-- ARGV   wall, steady, bytes to answer with in all; then after, max_bytes, max_records for each stream
-- answer for each stream {OK, epoch, last, closed, record…}, where the first record has the offset after + 1 and the rest
--        follow on; or why there is none: {LATER} when the pages before it took all bytes there were,
--        {FAILED, its words} when Redis could not work on it

local wall, steady = clock(ARGV[1], ARGV[2])
local left = tonumber(ARGV[3])

local function read(at, after, max_bytes, max_records)
  local s = load(KEYS[at + 1], wall, steady)
  if not s then
    return {NOT_FOUND}
  end
  if s[IDLE] > 0 then
    s[IDLE_UNTIL] = steady + s[IDLE]
    store(KEYS[at + 1], s)
    expire(s, at, wall, steady)
  end
  if after > s[LAST] then
    return {FUTURE, s[LAST]}
  end
  if after + 1 < s[FIRST] then
    return {TRIMMED, s[FIRST]}
  end

  local answer = {OK, s[EPOCH], s[LAST], s[CLOSED_AT] > 0 and 1 or 0}
  local size, count = 0, 0
  while after < s[LAST] and count < max_records do
    -- As many as should fit, by their size on average: the server holds what it takes from the log for a moment.
    local fit = math.ceil((max_bytes - size) * (s[LAST] - s[FIRST] + 1) / math.max(s[BYTES], 1))
    fit = math.min(math.max(fit, 1), 1000, max_records - count, s[LAST] - after)
    local page = redis.call('XRANGE', KEYS[at + 2], int(after + 1), '+', 'COUNT', fit)
    if #page == 0 or tonumber(string.match(page[1][1], '^%d+')) ~= after + 1 then
      -- The server dropped the log and kept the state: it evicts keys when its memory is full.
      return count > 0 and answer or {TRIMMED, s[LAST] + 1}
    end
    for _, entry in ipairs(page) do
      local record = entry[2][2]
      size = size + #record
      if count > 0 and size > max_bytes then
        return answer
      end
      count = count + 1
      after = after + 1
      left = left - #record
      answer[4 + count] = record
    end
  end
  return answer
end

local answers = {}
for number = 1, (#ARGV - 3) / 3 do
  local place = 1 + 3 * number
  if left > 0 then
    local fine, answer = pcall(
      read, 2 * number - 2, tonumber(ARGV[place]), tonumber(ARGV[place + 1]), math.max(tonumber(ARGV[place + 2]), 1)
    )
    answers[number] = fine and answer or {FAILED, answer.err or tostring(answer)}
  else
    answers[number] = {LATER}
  end
end
return answers
