-- Compare and set: replaces the binding to a backend if its generation is still the expected one.
-- KEYS[1]  the session's hash
-- ARGV[1]  field of the binding
-- ARGV[2]  expected generation; 0: no binding yet
-- ARGV[3]  the new binding, with the next generation
-- Answers  { 1 } bound; { 0, current binding or false } conflict; nil: no such session
local expires, current = unpack(redis.call('HMGET', KEYS[1], 'x', ARGV[1]))
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not expires or now >= tonumber(expires) then return nil end
local generation = current and string.match(current, '^%d+') or '0'
if generation ~= ARGV[2] then return { 0, current } end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return { 1 }
