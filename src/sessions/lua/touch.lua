-- Slides the expiry of a live session, never past the end of its lifetime.
-- KEYS[1]  the session's hash
-- ARGV[1]  ms that it lives after a touch (idle and an eighth)
-- ARGV[2]  ms that it is kept once it has expired, to be reaped
-- ARGV[3]  field of a binding
-- Answers  nil where there is no session; { ms that it lives from now on without another, the binding or false }
local ends, expires, binding = unpack(redis.call('HMGET', KEYS[1], 'e', 'x', ARGV[3]))
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not expires or now >= tonumber(expires) then return nil end
local left = math.min(tonumber(ARGV[1]), ends - now)
redis.call('HSET', KEYS[1], 't', now, 'x', now + left)
redis.call('PEXPIREAT', KEYS[1], now + left + ARGV[2])
return { left, binding }
