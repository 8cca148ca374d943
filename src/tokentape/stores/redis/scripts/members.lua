-- KEYS   members, ends
-- ARGV   wall, steady
-- answer {id, arrival and data, …} of those who are present

local _, steady = clock(ARGV[1], ARGV[2])
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. int(steady), '+inf')) do
  found[#found + 1] = id
  found[#found + 1] = redis.call('HGET', KEYS[1], id)
end
return found
