-- A part of the leases.
--
-- KEYS   leases
-- ARGV   wall, steady, cursor, pattern, 1 for the dead ones only
-- answer {next cursor, {name, token, live, holder, value, …}}

local _, steady = clock(ARGV[1], ARGV[2])
local scanned = redis.call('HSCAN', KEYS[1], ARGV[3], 'MATCH', ARGV[4], 'COUNT', 500)
local found = {}
for index = 1, #scanned[2], 2 do
  local known = held(scanned[2][index + 1], steady)
  if not (known.live and ARGV[5] == '1') then
    for _, value in ipairs({scanned[2][index], known.token, known.live and 1 or 0, known.holder, known.value}) do
      found[#found + 1] = value
    end
  end
end
return {scanned[1], found}
