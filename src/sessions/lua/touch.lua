-- Slides the expiry of a live session, never past the end of its lifetime.
-- KEYS[1]  the session's hash
-- ARGV[1]  ms that it lives after a touch (idle and an eighth)
-- Answers  1 touched, 0 there is none
local ends = redis.call('HGET', KEYS[1], 'e')
if not ends then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 't', now)
redis.call('PEXPIREAT', KEYS[1], math.min(now + tonumber(ARGV[1]), tonumber(ends)))
return 1
