-- Gives the slot of a lease back.
-- KEYS[1]  all leases, by when they run out
-- KEYS[2]  those of sessions, by their last use
-- KEYS[3]  those that are parked
-- KEYS[4]  of its owner: those that live; left out for who is not counted
-- KEYS[5]  of its owner: as KEYS[2]
-- ARGV[1]  the lease
-- ARGV[2]  1 to leave it alone while it lives
-- Answers  1 it was there, 0 it was not, or stays
if ARGV[2] == '1' then
  local expires = redis.call('ZSCORE', KEYS[1], ARGV[1])
  local time = redis.call('TIME')
  if expires and tonumber(expires) > time[1] * 1000 + math.floor(time[2] / 1000) then return 0 end
end
for i = 2, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
return redis.call('ZREM', KEYS[1], ARGV[1])
