-- Has a lock last some time from now, unless it is somebody else's by now.
-- KEYS[1]  the lock
-- ARGV[1]  the token of who holds it
-- ARGV[2]  ms that it is to last
-- Answers  1 extended, 0 it was not held by the token
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
