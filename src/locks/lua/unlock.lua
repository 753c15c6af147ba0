-- Releases a lock, unless it is somebody else's by now.
-- KEYS[1]  the lock
-- ARGV[1]  the token of who holds it
-- Answers  1 released, 0 it was not held by the token
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
