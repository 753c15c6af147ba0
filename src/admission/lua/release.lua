-- Releases the slot of a lease.
-- KEYS[1]  all leases, by expiry
-- KEYS[2]  leases of sessions, by last use
-- KEYS[3]  parked leases, by expiry
-- KEYS[4]  the owner's live leases; absent if the owner is not counted
-- KEYS[5]  the owner's leases, as KEYS[2]
-- ARGV[1]  the lease
-- ARGV[2]  1: only if it has expired
-- Answers  1 released; 0 it was not there, or is live
if ARGV[2] == '1' then
  local expires = redis.call('ZSCORE', KEYS[1], ARGV[1])
  local time = redis.call('TIME')
  if expires and tonumber(expires) > time[1] * 1000 + math.floor(time[2] / 1000) then return 0 end
end
for i = 2, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
return redis.call('ZREM', KEYS[1], ARGV[1])
