-- Gives the slot of a lease back, whether it still lives or not.
-- KEYS[1]  all leases
-- KEYS[2]  those of its principal; left out for who has none
-- ARGV[1]  the lease
-- Answers  1 it was there, 0 it was not
if KEYS[2] then redis.call('ZREM', KEYS[2], ARGV[1]) end
return redis.call('ZREM', KEYS[1], ARGV[1])
