-- Reads some leases that ran out, the oldest first. Reads only.
-- KEYS[1]  all leases
-- ARGV[1]  how many at most
-- Answers  { lease, lease, … }
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
