-- Reads a whole live session. Read-only.
-- KEYS[1]  the session's hash
-- Answers  { field, value, field, value, … }; nil: no such session
local expires = redis.call('HGET', KEYS[1], 'x')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not expires or now >= tonumber(expires) then return nil end
return redis.call('HGETALL', KEYS[1])
