-- Counts leases. Read-only.
-- KEYS[1]  all leases, by expiry
-- KEYS[2]  parked leases, by expiry
-- Answers  { number of live leases, number of parked leases that have not expired }
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return { redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf'), redis.call('ZCOUNT', KEYS[2], '(' .. now, '+inf') }
