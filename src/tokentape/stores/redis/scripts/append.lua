-- A round, or a part of one: entries for some streams. Each is checked in the order of Store.append, then written,
-- all or nothing, and refused by itself. The state of a stream is read once and written once, whatever the number of
-- its entries, and one message names all streams that have grown.
--
-- KEYS   state and log of each stream; then the leases, where some are asked for
-- ARGV   wall, steady, channel, origin, round, 'r' for a repetition since the first answer was lost (else ''), and in
--        MessagePack {names of leases, {name of a stream, {entry, …}}, …}; calls.py says what is in an entry; then all
--        records, which are bytes, and those Redis's MessagePack does not know
-- answer for each entry {OK, epoch, first, last, closed, offset…} (offsets with keys only), or the reason for a refusal;
--        for each entry of a stream that Redis could not work on {FAILED, its words}

local wall, steady = clock(ARGV[1], ARGV[2])
local channel, origin, repeated = ARGV[3], ARGV[4], ARGV[6] == 'r'
local mark, ours = origin .. ' ' .. ARGV[5] .. '|', origin .. ' '
local body = cmsgpack.unpack(ARGV[7])
local answers, grown = {}, {}

local leases = {}
if #body[1] > 0 then
  for place, raw in ipairs(redis.call('HMGET', KEYS[#KEYS], unpack(body[1]))) do
    leases[place] = held(raw, steady) or {}
  end
end

-- Bytes are compared as bytes: `<` follows the locale that the server was started in.
local function greater(left, right)
  for at = 1, math.min(#left, #right) do
    local one, other = string.byte(left, at), string.byte(right, at)
    if one ~= other then
      return one > other
    end
  end
  return #left > #right
end

-- Whether the writer still holds its lease.
local function holds(entry)
  if entry.lease then
    local lease = leases[entry.lease]
    return lease.live and lease.token == entry.token
  end
  return steady < entry.lease_ends
end

-- What speaks against an append of this producer, or nil.
local function out_of_turn(s, state, producer)
  local epoch, seq = producer[2], producer[3]
  local known = redis.call('HGET', state, 'p:' .. producer[1])
  local expected = 0
  if known then
    local known_epoch, known_seq = string.match(known, '^(%d+):(%d+)$')
    known_epoch, known_seq = tonumber(known_epoch), tonumber(known_seq)
    if epoch < known_epoch then
      return {STALE, known_epoch}
    end
    if epoch == known_epoch then
      if seq <= known_seq then
        return {DUPLICATE, s[EPOCH], s[LAST] + 1, s[LAST], s[CLOSED_AT] > 0 and 1 or 0}
      end
      expected = known_seq + 1
    end
  end
  return seq ~= expected and {OUT_OF_TURN, expected} or nil
end

-- The records that are not on the stream yet, with their keys; and where all of them stand, or will.
local function sift(s, state, entry)
  local fresh, fresh_keys, offsets, seen = {}, {}, {}, {}
  for at = 1, entry.count do
    local record, key, offset = ARGV[entry.before + at], entry.keys[at], 0
    if key then
      offset = seen[key] or tonumber(redis.call('HGET', state, 'k:' .. key) or 0)
    end
    if offset == 0 then
      fresh[#fresh + 1] = record
      fresh_keys[#fresh] = key
      offset = s[LAST] + #fresh
      if key then
        seen[key] = offset
      end
    end
    offsets[at] = offset
  end
  return fresh, fresh_keys, offsets
end

local function write(s, state, log, records, keys)
  for at, record in ipairs(records) do
    local offset, key = int(s[LAST] + at), keys[at]
    if key then
      redis.call('XADD', log, offset .. '-0', 'r', record, 'k', key)
      redis.call('HSET', state, 'k:' .. key, offset)
    else
      redis.call('XADD', log, offset .. '-0', 'r', record)
    end
    s[BYTES] = s[BYTES] + #record
  end
  s[LAST] = s[LAST] + #records
end

-- One entry. What it changes of the state is not stored yet.
local function append(s, changed, state, log, entry)
  if not s then
    return {NOT_FOUND}
  end
  local closed, index, sequence, producer = s[CLOSED_AT] > 0, entry.index, entry.sequence, entry.producer
  if entry.epoch and entry.epoch ~= s[EPOCH] then
    return {GONE, s[EPOCH]}
  end

  -- The state says who appended last, and what its round did: "origin round|index:first:last;…". So an append whose
  -- answer was lost with its connection can be repeated, and is found to be done.
  local same_round = string.sub(s[BY], 1, #mark) == mark
  if repeated and not entry.keys then
    local first, last = string.match(same_round and s[BY] or '', '[|;]' .. index .. ':(%d+):(%d+)')
    if first then
      return {OK, s[EPOCH], tonumber(first), tonumber(last), closed and 1 or 0}
    end
    if not entry.harmless and s[BY] ~= '' and string.sub(s[BY], 1, #ours) ~= ours then
      return {UNSURE}
    end
  end
  if (entry.lease or entry.lease_ends) and not holds(entry) then
    return {FENCED}
  end
  local against = producer and out_of_turn(s, state, producer)
  if against then
    return against
  end
  local records, keys, offsets = {}, {}, {}
  if entry.keys then
    records, keys, offsets = sift(s, state, entry)
  else
    for at = 1, entry.count do
      records[at] = ARGV[entry.before + at]
    end
  end
  if closed and (#records > 0 or not (entry.close or #offsets > 0)) then
    return {CLOSED, s[LAST]}
  end
  local former = sequence and redis.call('HGET', state, 'sequence')
  if former and not greater(sequence, former) then
    return {SEQUENCE, former}
  end
  local closes = entry.close and not closed

  local first, last = s[LAST] + 1, s[LAST] + #records
  local answer = {OK, s[EPOCH], first, last, (closed or closes) and 1 or 0}
  for at, offset in ipairs(offsets) do
    answer[5 + at] = offset
  end
  if not (#records > 0 or closes or producer or sequence) then
    return answer
  end
  write(s, state, log, records, keys)
  if producer then
    redis.call('HSET', state, 'p:' .. producer[1], int(producer[2]) .. ':' .. int(producer[3]))
  end
  if sequence then
    redis.call('HSET', state, 'sequence', sequence)
  end
  local done = index .. ':' .. int(first) .. ':' .. int(last)
  s[BY] = same_round and (s[BY] .. ';' .. done) or (mark .. done)
  if closes then
    s[CLOSED_AT] = wall
  end
  changed.at_all, changed.grown, changed.closed = true, changed.grown or #records > 0, changed.closed or closes
  return answer
end

-- Trims the oldest until the bound holds, and an eighth more, so that a full log is not trimmed at every append.
local function trim(s, state, log)
  local excess = s[BYTES] - s[MAX_BYTES] + math.floor(s[MAX_BYTES] / 8)
  local before, dropped = s[FIRST], 0
  while dropped < excess and s[FIRST] < s[LAST] do
    local page = redis.call('XRANGE', log, int(s[FIRST]), int(s[LAST] - 1), 'COUNT', 100)
    if #page == 0 then
      break
    end
    for _, entry in ipairs(page) do
      if dropped >= excess then
        break
      end
      dropped = dropped + #entry[2][2]
      s[FIRST] = tonumber(string.match(entry[1], '^%d+')) + 1
      if entry[2][4] then
        redis.call('HDEL', state, 'k:' .. entry[2][4])
      end
    end
  end
  if s[FIRST] > before then
    redis.call('XTRIM', log, 'MINID', int(s[FIRST]))
    s[BYTES] = s[BYTES] - dropped
  end
end

-- Writes down what the entries of one stream have changed, all at once.
local function save(s, changed, name, at)
  local state, log = KEYS[at + 1], KEYS[at + 2]
  if changed.grown then
    s[APPENDED_AT] = wall
    if s[MAX_BYTES] > 0 and s[BYTES] > s[MAX_BYTES] then
      trim(s, state, log)
    end
  end
  if changed.closed and s[AFTER_CLOSE] > 0 then
    s[CLOSED_UNTIL] = steady + s[AFTER_CLOSE]
  end
  if s[IDLE] > 0 then
    s[IDLE_UNTIL] = steady + s[IDLE]
  end
  store(state, s)
  expire(s, at, wall, steady)
  if changed.grown or changed.closed then
    grown[#grown + 1] = {name, s[EPOCH], s[LAST], s[CLOSED_AT] > 0}
  end
end

-- All entries of one stream, whose keys come after KEYS[at].
local function serve(at, name, entries)
  local s, changed = load(KEYS[at + 1], wall, steady), {}
  for _, entry in ipairs(entries) do
    answers[#answers + 1] = append(s, changed, KEYS[at + 1], KEYS[at + 2], entry)
  end
  if changed.at_all then
    save(s, changed, name, at)
  end
end

for place = 2, #body do
  local before, name, entries = #answers, body[place][1], body[place][2]
  local fine, failure = pcall(serve, 2 * place - 4, name, entries)
  if not fine then
    -- The keys of one stream are not what they should be: that must not keep the others from being written.
    for number = 1, #entries do
      answers[before + number] = {FAILED, failure.err or tostring(failure)}
    end
  end
end
if #grown > 0 then
  redis.call('PUBLISH', channel, cmsgpack.pack({origin, grown}))
end
return answers
