-- Releases a lock, if the token still holds it.
-- KEYS[1]  the lock
-- ARGV[1]  the holder's token
-- Answers  1 released; 0 the token does not hold it
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
