-- Stores a new session. One that has the key already stays as it is.
-- KEYS[1]  the session's hash
-- ARGV[1]  ms that it lives after its last touch (idle and an eighth)
-- ARGV[2]  ms that it lives at most
-- ARGV[3…] fields and values
-- Answers  1 stored, 0 the key is taken
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = now + tonumber(ARGV[2])
redis.call('HSET', KEYS[1], 't', now, 'e', ends, unpack(ARGV, 3))
redis.call('PEXPIREAT', KEYS[1], math.min(now + tonumber(ARGV[1]), ends))
return 1
