-- Sets when a lock ends, if the token still holds it.
-- KEYS[1]  the lock
-- ARGV[1]  the holder's token
-- ARGV[2]  ms from now until it ends
-- Answers  1 extended; 0 the token does not hold it
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
