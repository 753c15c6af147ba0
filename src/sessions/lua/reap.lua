-- Deletes an expired session and returns its fields.
-- KEYS[1]  the session's hash
-- ARGV[1]  layout that the caller reads; a record of another layout is left to a router that reads it
-- Answers  { 0, field, value, field, value, … } deleted; { ms that it lives } not expired; { -1 } left; nil: no such session
local expires = redis.call('HGET', KEYS[1], 'x')
if not expires then return nil end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now < tonumber(expires) then return { expires - now } end
if redis.call('HGET', KEYS[1], 'v') ~= ARGV[1] then return { -1 } end
local fields = redis.call('HGETALL', KEYS[1])
redis.call('DEL', KEYS[1])
table.insert(fields, 1, 0)
return fields
