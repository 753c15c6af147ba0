-- Deletes a live session and returns its fields.
-- KEYS[1]  the session's hash
-- ARGV[1]  layout that the caller reads; a record of another layout is returned and not deleted
-- Answers  { field, value, field, value, … }; nil: no such session
local expires = redis.call('HGET', KEYS[1], 'x')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not expires or now >= tonumber(expires) then return nil end
local fields = redis.call('HGETALL', KEYS[1])
if redis.call('HGET', KEYS[1], 'v') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return fields
