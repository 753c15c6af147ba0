-- Slides the expiry of a live session, at most to the end of its lifetime.
-- KEYS[1]  the session's hash
-- ARGV[1]  ms that the session lives after a touch (idle and an eighth)
-- ARGV[2]  ms that the expired session is kept for reap.lua
-- ARGV[3]  field of a binding
-- Answers  { ms that the session lives without another touch, the binding or false }; nil: no such session
local ends, expires, binding = unpack(redis.call('HMGET', KEYS[1], 'e', 'x', ARGV[3]))
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not expires or now >= tonumber(expires) then return nil end
local left = math.min(tonumber(ARGV[1]), ends - now)
redis.call('HSET', KEYS[1], 't', now, 'x', now + left)
redis.call('PEXPIREAT', KEYS[1], now + left + ARGV[2])
return { left, binding }
