-- A round, or a part of one: entries for some streams. Each is checked in the order of Store.append, then written,
-- all or nothing, and refused by itself. The state of a stream is read once and written once, whatever the number of its
-- entries, and one message names all streams that have grown.
--
-- KEYS   state, log, keys, producers of each stream; then the leases, where they live on the same server
-- ARGV   wall, steady, channel, origin, round, 'r' for a repetition since the first answer was lost (else ''),
--        the number of leases and their names; then for each stream its name, the number of its entries and of their
--        arguments, and the entries: the number of arguments that follow, index, flags; then as the flags say:
--        e: epoch · f: lease (its place among the names), token · F: end of the lease, as looked up elsewhere
--        p: id, epoch, seq · s: sequence; then the records, with k each after its key ('' for none, else '=' and the key).
--        c: closes · i: may be repeated without harm anyway
-- answer for each entry {OK, epoch, first, last, closed, offset…} (offsets with k only), or the reason for a refusal;
--        for each entry of a stream that Redis could not work on {FAILED, its words}

local wall, steady = clock(ARGV[1], ARGV[2])
local channel, origin, round, repeated = ARGV[3], ARGV[4], ARGV[5], ARGV[6] == 'r'
local position = 7 + tonumber(ARGV[7])
local leases = {}
if position > 7 then
  for at, raw in ipairs(redis.call('HMGET', KEYS[#KEYS], unpack(ARGV, 8, position))) do
    leases[at] = held(raw, steady) or {}
  end
end

local find, byte = string.find, string.byte
local mark = origin .. ' ' .. round .. '|'
local ours = origin .. ' '
local answers, grown = {}, {}

local function take()
  position = position + 1
  return ARGV[position]
end

-- Bytes are compared as bytes: `<` follows the locale that the server was started in.
local function greater(left, right)
  for at = 1, math.min(#left, #right) do
    local one, other = byte(left, at), byte(right, at)
    if one ~= other then
      return one > other
    end
  end
  return #left > #right
end

-- Whether the writer still holds its lease. Takes its arguments.
local function holds(flags)
  if find(flags, 'f', 1, true) then
    local lease, token = leases[tonumber(take())], take()
    return lease.live and int(lease.token) == token
  end
  return steady < tonumber(take())
end

-- What speaks against an append of this producer, or nil; and the producer with what is kept of it.
local function turn(key)
  local id, epoch, seq = take(), tonumber(take()), tonumber(take())
  local known = redis.call('HGET', key, id)
  local expected = 0
  if known then
    local known_epoch, known_seq = string.match(known, '^(%d+):(%d+)$')
    known_epoch, known_seq = tonumber(known_epoch), tonumber(known_seq)
    if epoch < known_epoch then
      return {STALE, known_epoch}
    end
    if epoch == known_epoch then
      if seq <= known_seq then
        return {DUPLICATE}
      end
      expected = known_seq + 1
    end
  end
  if seq ~= expected then
    return {OUT_OF_TURN, expected}
  end
  return nil, id, int(epoch) .. ':' .. int(seq)
end

-- The records that are not on the stream yet, with their keys; and where all of them stand, or will.
local function sift(s, key, stop)
  local fresh, fresh_keys, offsets, seen = {}, {}, {}, {}
  while position < stop do
    local name, record = take(), take()
    local offset = 0
    if name ~= '' then
      offset = seen[name] or tonumber(redis.call('HGET', key, string.sub(name, 2)) or 0)
    end
    if offset == 0 then
      fresh[#fresh + 1] = record
      fresh_keys[#fresh] = name
      offset = s.last + #fresh
      if name ~= '' then
        seen[name] = offset
      end
    end
    offsets[#offsets + 1] = offset
  end
  return fresh, fresh_keys, offsets
end

local function write(s, log, keys, fresh, fresh_keys)
  for at, record in ipairs(fresh) do
    local offset = int(s.last + at)
    local key = fresh_keys[at]
    if key and key ~= '' then
      key = string.sub(key, 2)
      redis.call('XADD', log, offset .. '-0', 'r', record, 'k', key)
      redis.call('HSET', keys, key, offset)
    else
      redis.call('XADD', log, offset .. '-0', 'r', record)
    end
    s.bytes = s.bytes + #record
  end
  s.last = s.last + #fresh
end

-- One entry, whose arguments end at `stop`. What it changes of the state is only noted in `s`.
local function append(s, log, keys, producers, stop)
  local index, flags = take(), take()
  if not s then
    return {NOT_FOUND}
  end
  local closed = s.closed_at > 0
  if find(flags, 'e', 1, true) and take() ~= s.epoch then
    return {GONE, s.epoch}
  end
  local keyed = find(flags, 'k', 1, true)

  -- `by` says who appended last, and what its round did: "origin round|index:first:last;…". So an append whose answer
  -- was lost with its connection can be repeated, and is found to be done.
  local same_round = string.sub(s.by, 1, #mark) == mark
  if repeated and not keyed then
    local first, last = string.match(same_round and s.by or '', '[|;]' .. index .. ':(%d+):(%d+)')
    if first then
      return {OK, s.epoch, tonumber(first), tonumber(last), closed and 1 or 0}
    end
    if not find(flags, 'i', 1, true) and s.by ~= '' and string.sub(s.by, 1, #ours) ~= ours then
      return {UNSURE}
    end
  end
  if find(flags, '[fF]') and not holds(flags) then
    return {FENCED}
  end
  local against, producer, turned
  if find(flags, 'p', 1, true) then
    against, producer, turned = turn(producers)
    if against and against[1] == DUPLICATE then
      return {DUPLICATE, s.epoch, s.last + 1, s.last, closed and 1 or 0}
    end
    if against then
      return against
    end
  end
  local sequence
  if find(flags, 's', 1, true) then
    sequence = take()
  end
  local fresh, fresh_keys, offsets = {}, {}, {}
  if keyed then
    fresh, fresh_keys, offsets = sift(s, keys, stop)
  else
    while position < stop do
      fresh[#fresh + 1] = take()
    end
  end
  local closes = find(flags, 'c', 1, true)
  if closed and (#fresh > 0 or not (closes or #offsets > 0)) then
    return {CLOSED, s.last}
  end
  if sequence and s.sequence and not greater(sequence, s.sequence) then
    return {SEQUENCE, s.sequence}
  end
  closes = closes and not closed

  local first, last = s.last + 1, s.last + #fresh
  local answer = {OK, s.epoch, first, last, (closed or closes) and 1 or 0}
  for at, offset in ipairs(offsets) do
    answer[5 + at] = offset
  end
  if not (#fresh > 0 or closes or producer or sequence) then
    return answer
  end
  write(s, log, keys, fresh, fresh_keys)
  if producer then
    redis.call('HSET', producers, producer, turned)
  end
  local done = index .. ':' .. int(first) .. ':' .. int(last)
  s.by = same_round and (s.by .. ';' .. done) or (mark .. done)
  s.changed = true
  s.grown = s.grown or #fresh > 0
  s.sequence = sequence or s.sequence
  s.sequenced = s.sequenced or sequence
  if closes then
    s.closed_at = wall
    s.closes = true
  end
  return answer
end

-- Trims the oldest until the bound holds, and an eighth more, so that a full log is not trimmed at every append.
local function trim(s, log, keys)
  local excess = s.bytes - s.max_bytes + math.floor(s.max_bytes / 8)
  local before, dropped = s.first, 0
  while dropped < excess and s.first < s.last do
    local page = redis.call('XRANGE', log, int(s.first), int(s.last - 1), 'COUNT', 100)
    if #page == 0 then
      break
    end
    for _, entry in ipairs(page) do
      if dropped >= excess then
        break
      end
      dropped = dropped + #entry[2][2]
      s.first = tonumber(string.match(entry[1], '^%d+')) + 1
      if entry[2][4] then
        redis.call('HDEL', keys, entry[2][4])
      end
    end
  end
  if s.first > before then
    redis.call('XTRIM', log, 'MINID', int(s.first))
    s.bytes = s.bytes - dropped
    return int(s.first)
  end
end

-- Writes down what the entries of one stream have changed, all at once.
local function save(s, name, state, log, keys)
  local changes = {'by', s.by}
  local function change(field, value)
    changes[#changes + 1] = field
    changes[#changes + 1] = value
  end

  if s.grown then
    local first = s.max_bytes > 0 and s.bytes > s.max_bytes and trim(s, log, keys)
    if first then
      change('first', first)
    end
    change('last', int(s.last))
    change('bytes', int(s.bytes))
    change('appended_at', int(wall))
  end
  if s.closes then
    change('closed_at', int(wall))
    if s.after_close > 0 then
      s.closed_until = steady + s.after_close
      change('closed_until', int(s.closed_until))
    end
  end
  if s.idle > 0 then
    s.idle_until = steady + s.idle
    change('idle_until', int(s.idle_until))
  end
  if s.sequenced then
    change('sequence', s.sequence)
  end
  redis.call('HSET', state, unpack(changes))
  if s.grown or s.closes then
    grown[#grown + 1] = {name, s.epoch, s.last, s.closed_at > 0}
  end
end

-- All entries of one stream, whose keys come after KEYS[at].
local function serve(at, name, count)
  local state, log, keys, producers = KEYS[at + 1], KEYS[at + 2], KEYS[at + 3], KEYS[at + 4]
  local s = load(state, wall, steady)
  for _ = 1, count do
    local stop = tonumber(take())
    stop = position + stop
    answers[#answers + 1] = append(s, log, keys, producers, stop)
    position = stop
  end
  if s and s.changed then
    save(s, name, state, log, keys)
    expire(s, at, wall, steady)
  end
end

local at = 0
while position < #ARGV do
  local name, count, length = take(), tonumber(take()), tonumber(take())
  local stop, before = position + length, #answers
  local fine, failure = pcall(serve, at, name, count)
  if not fine then
    -- The keys of one stream are not what they should be: that must not keep the others from being written.
    for entry = before + 1, before + count do
      answers[entry] = {FAILED, failure.err or tostring(failure)}
    end
  end
  position = stop
  at = at + 4
end
if #grown > 0 then
  redis.call('PUBLISH', channel, cmsgpack.pack({origin, grown}))
end
return answers
