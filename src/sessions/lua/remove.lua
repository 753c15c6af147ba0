-- Ends a session and hands over what it held.
-- KEYS[1]  the session's hash
-- Answers  nil where there is none; { field, value, field, value, … }
local fields = redis.call('HGETALL', KEYS[1])
if #fields == 0 then return nil end
redis.call('DEL', KEYS[1])
return fields
