-- Reads expired leases, first expiry first, and then expired parked ones. Read-only.
-- KEYS[1]  all leases, by expiry
-- KEYS[2]  parked leases, by expiry
-- ARGV[1]  maximum number
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
