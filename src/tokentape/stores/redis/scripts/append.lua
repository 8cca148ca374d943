-- One entry of a batch: checked in the order of Store.append, then written, trimmed and told, all or nothing.
--
-- KEYS   state, log, keys, producers, and the leases where they live on the same server
-- ARGV   wall, steady, channel, origin, round, index, name, flags; then as the flags say:
--        e: epoch · f: lease, token · F: end of the lease, as looked up elsewhere · p: id, epoch, seq · s: sequence;
--        then the records, with k each after its key ('' for none, else '=' and the key).
--        c: closes · r: a repetition, since the first answer was lost · i: may be repeated without harm anyway
-- answer {OK, epoch, first, last, closed, offset…} (offsets with k only), or the reason for a refusal

local wall, steady = clock(ARGV[1], ARGV[2])
local channel, origin, round, index, name, flags = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local position = 8

local function has(flag)
  return string.find(flags, flag, 1, true) ~= nil
end

local function take()
  position = position + 1
  return ARGV[position]
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

local s = load(KEYS[1], wall, steady)
if not s then
  return {NOT_FOUND}
end
local closed = s.closed_at > 0
if has('e') and take() ~= s.epoch then
  return {GONE, s.epoch}
end

-- `by` says who appended last, and what its round did: "origin round|index:first:last;…". So an append whose answer
-- was lost with its connection can be repeated, and is found to be done.
local mark = origin .. ' ' .. round .. '|'
local same_round = string.sub(s.by, 1, #mark) == mark
if has('r') and not has('k') then
  local first, last = string.match(same_round and s.by or '', '[|;]' .. index .. ':(%d+):(%d+)')
  if first then
    return {OK, s.epoch, tonumber(first), tonumber(last), closed and 1 or 0}
  end
  if not has('i') and s.by ~= '' and string.sub(s.by, 1, #origin + 1) ~= origin .. ' ' then
    return {UNSURE}
  end
end

if has('f') then
  local known, token = held(redis.call('HGET', KEYS[5], take()), steady), take()
  if not (known and known.live and int(known.token) == token) then
    return {FENCED}
  end
end
if has('F') and steady >= tonumber(take()) then
  return {FENCED}
end

local producer, producer_epoch, producer_seq
if has('p') then
  producer, producer_epoch, producer_seq = take(), tonumber(take()), tonumber(take())
  local known = redis.call('HGET', KEYS[4], producer)
  local expected = 0
  if known then
    local epoch, seq = string.match(known, '^(%d+):(%d+)$')
    epoch, seq = tonumber(epoch), tonumber(seq)
    if producer_epoch < epoch then
      return {STALE, epoch}
    end
    if producer_epoch == epoch then
      if producer_seq <= seq then
        return {DUPLICATE, s.epoch, s.last + 1, s.last, closed and 1 or 0}
      end
      expected = seq + 1
    end
  end
  if producer_seq ~= expected then
    return {OUT_OF_TURN, expected}
  end
end

local sequence = has('s') and take() or nil
local first = s.last + 1
local offsets, fresh, fresh_keys = {}, {}, {}
if has('k') then
  local seen = {}
  while position < #ARGV do
    local key, record = take(), take()
    local offset = 0
    if key ~= '' then
      offset = seen[key] or tonumber(redis.call('HGET', KEYS[3], string.sub(key, 2)) or 0)
    end
    if offset == 0 then
      fresh[#fresh + 1] = record
      fresh_keys[#fresh] = key
      offset = s.last + #fresh
      if key ~= '' then
        seen[key] = offset
      end
    end
    offsets[#offsets + 1] = offset
  end
else
  while position < #ARGV do
    fresh[#fresh + 1] = take()
  end
end

if closed and (#fresh > 0 or not (has('c') or #offsets > 0)) then
  return {CLOSED, s.last}
end
if sequence and s.sequence and not greater(sequence, s.sequence) then
  return {SEQUENCE, s.sequence}
end

local closes = has('c') and not closed
local last = s.last + #fresh
local answer = {OK, s.epoch, first, last, (closed or closes) and 1 or 0}
for at, offset in ipairs(offsets) do
  answer[5 + at] = offset
end
if not (#fresh > 0 or closes or producer or sequence) then
  return answer
end

for at, record in ipairs(fresh) do
  local offset = int(s.last + at)
  local key = fresh_keys[at]
  if key and key ~= '' then
    key = string.sub(key, 2)
    redis.call('XADD', KEYS[2], offset .. '-0', 'r', record, 'k', key)
    redis.call('HSET', KEYS[3], key, offset)
  else
    redis.call('XADD', KEYS[2], offset .. '-0', 'r', record)
  end
  s.bytes = s.bytes + #record
end
s.last = last

-- Trims the oldest until the bound holds, and an eighth more, so that a full log is not trimmed at every append.
local trimmed = false
if s.max_bytes > 0 and s.bytes > s.max_bytes then
  local excess = s.bytes - s.max_bytes + math.floor(s.max_bytes / 8)
  local before, dropped = s.first, 0
  while dropped < excess and s.first < s.last do
    local page = redis.call('XRANGE', KEYS[2], int(s.first), int(s.last - 1), 'COUNT', 100)
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
        redis.call('HDEL', KEYS[3], entry[2][4])
      end
    end
  end
  trimmed = s.first > before
  if trimmed then
    redis.call('XTRIM', KEYS[2], 'MINID', int(s.first))
    s.bytes = s.bytes - dropped
  end
end

if producer then
  redis.call('HSET', KEYS[4], producer, int(producer_epoch) .. ':' .. int(producer_seq))
end
local done = index .. ':' .. int(first) .. ':' .. int(last)
local changes = {'by', same_round and (s.by .. ';' .. done) or (mark .. done)}

local function change(field, value)
  changes[#changes + 1] = field
  changes[#changes + 1] = value
end

if #fresh > 0 then
  change('last', int(s.last))
  change('bytes', int(s.bytes))
  change('appended_at', int(wall))
end
if trimmed then
  change('first', int(s.first))
end
if closes then
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
if sequence then
  change('sequence', sequence)
end
redis.call('HSET', KEYS[1], unpack(changes))
expire(s, wall, steady)
if #fresh > 0 or closes then
  redis.call('PUBLISH', channel, origin .. ' ' .. s.epoch .. ' ' .. int(s.last) .. ' ' .. answer[5] .. ' ' .. name)
end
return answer
