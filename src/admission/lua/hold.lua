-- Has a lease run out some time from now. One that is not live takes a slot, if there is one.
-- KEYS[1]  all leases
-- KEYS[2]  those of its principal; left out for who has none
-- ARGV[1]  the lease
-- ARGV[2]  ms that it is to last
-- ARGV[3]  most live leases in all, -1 for any number
-- ARGV[4]  most live leases of the principal, -1 for any number
-- Answers  0 it goes on, 1 it has taken a slot, 2 none is left of all, 3 none of the principal's
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expires = now + tonumber(ARGV[2])
local held = redis.call('ZSCORE', KEYS[1], ARGV[1])
local lives = held and tonumber(held) > now
if KEYS[2] then redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now) end
if not lives then
  local cap, principal_cap = tonumber(ARGV[3]), tonumber(ARGV[4])
  if cap >= 0 and redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf') >= cap then return 2 end
  if KEYS[2] and principal_cap >= 0 and redis.call('ZCARD', KEYS[2]) >= principal_cap then return 3 end
end
redis.call('ZADD', KEYS[1], expires, ARGV[1])
if KEYS[2] then
  redis.call('ZADD', KEYS[2], expires, ARGV[1])
  local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
  redis.call('PEXPIREAT', KEYS[2], last[2])
end
return lives and 0 or 1
