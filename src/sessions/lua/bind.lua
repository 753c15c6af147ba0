-- Sets the binding to a backend where its generation is still the expected one.
-- KEYS[1]  the session's hash
-- ARGV[1]  field of the binding
-- ARGV[2]  expected generation, 0 for none
-- ARGV[3]  the binding that follows, with the next generation
-- Answers  { 1 } bound; { 0, the binding that holds or false } conflict; nil where there is no session
if redis.call('EXISTS', KEYS[1]) == 0 then return nil end
local current = redis.call('HGET', KEYS[1], ARGV[1])
local generation = current and string.match(current, '^%d+') or '0'
if generation ~= ARGV[2] then return { 0, current } end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return { 1 }
