-- Stores a new session, unless a live one has the key.
-- KEYS[1]  the session's hash
-- ARGV[1]  ms that the session lives without a touch
-- ARGV[2]  ms until the end of its lifetime
-- ARGV[3]  ms that the expired session is kept for reap.lua
-- ARGV[4…] field, value, field, value, …
-- Answers  ms that the session lives without a touch; 0: the key is taken
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expires = redis.call('HGET', KEYS[1], 'x')
if expires and now < tonumber(expires) then return 0 end
local left = tonumber(ARGV[1])
redis.call('DEL', KEYS[1])
-- t = 0: never touched, so a touch is due (older routers need the field).
redis.call('HSET', KEYS[1], 't', 0, 'e', now + ARGV[2], 'x', now + left, unpack(ARGV, 4))
redis.call('PEXPIREAT', KEYS[1], now + left + ARGV[3])
return left
