-- Stores a new session. A live one that has the key already stays as it is.
-- KEYS[1]  the session's hash
-- ARGV[1]  ms that it lives without a touch
-- ARGV[2]  ms until the end of its lifetime
-- ARGV[3]  ms that it is kept once it has expired, to be reaped
-- ARGV[4…] fields and values
-- Answers  ms that it lives from now on without a touch; 0 the key is taken
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expires = redis.call('HGET', KEYS[1], 'x')
if expires and now < tonumber(expires) then return 0 end
local left = tonumber(ARGV[1])
redis.call('DEL', KEYS[1])
-- Never touched: long ago, so that a touch is due, also to routers of before.
redis.call('HSET', KEYS[1], 't', 0, 'e', now + ARGV[2], 'x', now + left, unpack(ARGV, 4))
redis.call('PEXPIREAT', KEYS[1], now + left + ARGV[3])
return left
