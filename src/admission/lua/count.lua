-- Counts leases. Reads only.
-- KEYS[1]  all leases, by when they run out
-- KEYS[2]  those that are parked
-- Answers  { how many live, how many are parked and have not run out }
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return { redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf'), redis.call('ZCOUNT', KEYS[2], '(' .. now, '+inf') }
