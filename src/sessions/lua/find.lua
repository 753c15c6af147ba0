-- Reads a live session, and says whether a touch is due. Reads only.
-- KEYS[1]  the session's hash
-- ARGV[1]  ms since the last touch after which one is due
-- Answers  nil where there is none; { 0 or 1, field, value, field, value, … }
local fields = redis.call('HGETALL', KEYS[1])
if #fields == 0 then return nil end
local touched, expires
for i = 1, #fields, 2 do
  if fields[i] == 't' then touched = tonumber(fields[i + 1]) end
  if fields[i] == 'x' then expires = tonumber(fields[i + 1]) end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if expires and now >= expires then return nil end
table.insert(fields, 1, (touched and now - touched > tonumber(ARGV[1])) and 1 or 0)
return fields
