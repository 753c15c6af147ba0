-- Reads some leases that ran out, the oldest first, and then parked ones that would have. Reads only.
-- KEYS[1]  all leases, by when they run out
-- KEYS[2]  those that are parked, by when they would have run out
-- ARGV[1]  how many at most
-- Answers  { lease, lease, … }
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit = tonumber(ARGV[1])
local expired = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, limit)
if #expired >= limit then return expired end
for _, lease in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, limit - #expired)) do
  table.insert(expired, lease)
end
return expired
