-- A round, or a part of one: entries for some streams. Each is checked in the order of Store.append, then written,
-- all or nothing, and refused by itself. The state of a stream is read once and written once, whatever the number of
-- its entries, and one message names all streams that have grown.
--
-- KEYS   state and log of each stream; then the leases, where some are asked for
-- ARGV   wall, steady, channel, origin, round, 'r' for a repetition since the first answer was lost (else ''); the plan;
--        then all records. The plan is one flat list in MessagePack, since many small tables would cost more than all
--        else: {names of leases}, then for each stream its name and the number of its entries, and for each of these
--        index, place before its records among ARGV, number of records, place of its lease (0 for none), token, and
--        false or a table of what is rare: {epoch, lease_ends, producer {id, epoch, seq}, sequence, close, keys,
--        harmless}; calls.py says more
-- answer for each entry {OK, epoch, first, last, closed, offset…} (offsets with keys only), or the reason for a refusal;
--        for each entry of a stream that Redis could not work on {FAILED, its words}

local wall, steady = clock(ARGV[1], ARGV[2])
local channel, origin, repeated = ARGV[3], ARGV[4], ARGV[6] == 'r'
local mark, ours = origin .. ' ' .. ARGV[5] .. '|', origin .. ' '
local plan = cmsgpack.unpack(ARGV[7])
local answers, grown = {}, {}
local nothing = {}
local changed, has_grown, has_closed

local MAX_PRODUCERS = 1000 -- core/producer.py has the same number

local leases = {}
if #plan[1] > 0 then
  for place, raw in ipairs(redis.call('HMGET', KEYS[#KEYS], unpack(plan[1]))) do
    leases[place] = held(raw, steady) or nothing
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

-- Whether nobody has taken the writer's lease.
local function holds(lease, token)
  return leases[lease].token == token
end

-- What is known of a producer: its epoch, the number that came last, and its place among those that wrote (0 for none).
local function find_producer(state, name)
  local known = redis.call('HGET', state, 'p:' .. name)
  if not known then
    return nil
  end
  local epoch, seq, place = string.match(known, '^(%d+):(%d+):?(%d*)$')
  return epoch, seq, tonumber(place) or 0
end

-- Writes down what came last from a producer. Places are dealt out in turn, and each is used again after 2N of them:
-- then whoever still has it is forgotten. Who writes gets a new one after N, so the N that wrote last are remembered.
local function remember(state, name, epoch, seq)
  local _, _, place = find_producer(state, name)
  local dealt = tonumber(redis.call('HGET', state, 'places') or 0)
  if not place or dealt - place >= MAX_PRODUCERS or place == 0 then
    dealt = dealt + 1
    place = dealt
    local slot = 'o:' .. int(dealt % (2 * MAX_PRODUCERS))
    local other = redis.call('HGET', state, slot)
    if other and other ~= name then
      local _, _, held_place = find_producer(state, other)
      if held_place == dealt - 2 * MAX_PRODUCERS then
        redis.call('HDEL', state, 'p:' .. other)
      end
    end
    redis.call('HSET', state, slot, name, 'places', int(dealt))
  end
  redis.call('HSET', state, 'p:' .. name, int(epoch) .. ':' .. int(seq) .. ':' .. int(place))
end

-- What speaks against an append of this producer, or nil.
local function out_of_turn(s, state, producer)
  local epoch, seq = producer[2], producer[3]
  local known_epoch, known_seq = find_producer(state, producer[1])
  local expected = 0
  if known_epoch then
    known_epoch, known_seq = tonumber(known_epoch), tonumber(known_seq)
    if epoch < known_epoch then
      return {STALE, known_epoch}
    end
    if epoch == known_epoch then
      if seq <= known_seq then
        return {DUPLICATE, s[EPOCH], s[LAST] + 1, s[LAST], s[CLOSED_AT] > 0 and 1 or 0, known_seq}
      end
      expected = known_seq + 1
    end
  end
  return seq ~= expected and {OUT_OF_TURN, expected, known_epoch} or nil
end

-- The records that are not on the stream yet, with their keys; and where all of them stand, or will.
local function sift(s, state, before, count, keys)
  local fresh, fresh_keys, offsets, seen = {}, {}, {}, {}
  for at = 1, count do
    local key, offset = keys[at], 0
    if key then
      offset = seen[key] or tonumber(redis.call('HGET', state, 'k:' .. key) or 0)
    end
    if offset == 0 then
      fresh[#fresh + 1] = ARGV[before + at]
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

-- Writes `count` records, which stand in a table after the place `before`.
local function write(s, state, log, records, before, count, keys)
  for at = 1, count do
    local record, key = records[before + at], keys[at]
    if key then
      redis.call('XADD', log, id(s[LAST] + at), 'r', record, 'k', key)
      redis.call('HSET', state, 'k:' .. key, int(s[LAST] + at))
    else
      redis.call('XADD', log, id(s[LAST] + at), 'r', record)
    end
    s[BYTES] = s[BYTES] + #record
  end
  s[LAST] = s[LAST] + count
end

-- One entry. What it changes of the state is not stored yet.
local function append(s, state, log, index, before, count, lease, token, rare)
  if not s then
    return {NOT_FOUND}
  end
  local closed, sequence, producer, keys = s[CLOSED_AT] > 0, rare.sequence, rare.producer, rare.keys
  if rare.epoch and rare.epoch ~= s[EPOCH] then
    return {GONE, s[EPOCH]}
  end

  -- The state says who appended last, and what its round did: "origin round|index:first:last;…". So an append whose
  -- answer was lost with its connection can be repeated, and is found to be done.
  local same_round = string.sub(s[BY], 1, #mark) == mark
  if repeated and not keys then
    local first, last = string.match(same_round and s[BY] or '', '[|;]' .. index .. ':(%d+):(%d+)')
    if first then
      return {OK, s[EPOCH], tonumber(first), tonumber(last), closed and 1 or 0}
    end
    if not rare.harmless and s[BY] ~= '' and string.sub(s[BY], 1, #ours) ~= ours then
      return {UNSURE}
    end
  end
  if lease > 0 and not holds(lease, token) or rare.lease_ends and steady >= rare.lease_ends then
    return {FENCED}
  end
  local against = producer and out_of_turn(s, state, producer)
  if against then
    return against
  end
  local records, offsets = ARGV, nothing
  if keys then
    records, keys, offsets = sift(s, state, before, count, keys)
    before, count = 0, #records
  end
  if closed and (count > 0 or not (rare.close or #offsets > 0)) then
    return {CLOSED, s[LAST]}
  end
  local former = sequence and redis.call('HGET', state, 'sequence')
  if former and not greater(sequence, former) then
    return {SEQUENCE, former}
  end
  local closes = rare.close and not closed

  local first, last = s[LAST] + 1, s[LAST] + count
  local answer = {OK, s[EPOCH], first, last, (closed or closes) and 1 or 0}
  for at, offset in ipairs(offsets) do
    answer[5 + at] = offset
  end
  if not (count > 0 or closes or producer or sequence) then
    return answer
  end
  write(s, state, log, records, before, count, keys or nothing)
  if producer then
    remember(state, producer[1], producer[2], producer[3])
  end
  if sequence then
    redis.call('HSET', state, 'sequence', sequence)
  end
  s[BY] = (same_round and s[BY] .. ';' or mark) .. string.format('%d:%.0f:%.0f', index, first, last)
  if closes then
    s[CLOSED_AT] = wall
  end
  changed, has_grown, has_closed = true, has_grown or count > 0, has_closed or closes
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
local function save(s, name, at)
  local state, log = KEYS[at + 1], KEYS[at + 2]
  if has_grown then
    s[APPENDED_AT] = wall
    if s[MAX_BYTES] > 0 and s[BYTES] > s[MAX_BYTES] then
      trim(s, state, log)
    end
  end
  if has_closed and s[AFTER_CLOSE] > 0 then
    s[CLOSED_UNTIL] = steady + s[AFTER_CLOSE]
  end
  if s[IDLE] > 0 then
    s[IDLE_UNTIL] = steady + s[IDLE]
  end
  store(state, s)
  expire(s, at, wall, steady)
  if has_grown or has_closed then
    grown[#grown + 1] = {name, s[EPOCH], s[LAST], s[CLOSED_AT] > 0}
  end
end

-- All entries of one stream, whose keys come after KEYS[at], and whose part of the plan begins at `place`.
local function serve(at, place)
  local state, log = KEYS[at + 1], KEYS[at + 2]
  local s = load(state, wall, steady)
  changed, has_grown, has_closed = false, false, false
  for entry = place + 2, place + 6 * plan[place + 1] - 4, 6 do
    answers[#answers + 1] = append(s, state, log, plan[entry], plan[entry + 1], plan[entry + 2], plan[entry + 3],
      plan[entry + 4], plan[entry + 5] or nothing)
  end
  if changed then
    save(s, plan[place], at)
  end
end

local at, place = 0, 2
while place < #plan do
  local before, count = #answers, plan[place + 1]
  local fine, failure = pcall(serve, at, place)
  if not fine then
    -- The keys of one stream are not what they should be: that must not keep the others from being written.
    for number = 1, count do
      answers[before + number] = {FAILED, failure.err or tostring(failure)}
    end
  end
  at = at + 2
  place = place + 2 + 6 * count
end
if #grown > 0 then
  redis.call('PUBLISH', channel, cmsgpack.pack({origin, grown}))
end
return answers
