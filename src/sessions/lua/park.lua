-- Parks a live session that has been idle for some time: replaces the endpoint in each of its bindings with a mark.
-- KEYS[1]  the session's hash
-- ARGV[1]  layout that the caller reads; a record of another layout is not changed
-- ARGV[2]  ms without a touch from which the session counts as idle
-- ARGV[3]  prefix of the fields of bindings
-- ARGV[4]  the mark
-- ARGV[5]  the mark of a binding without a session, which is left as it is
-- Answers  { 1, field, value, field, value, … } parked, with the fields before that;
--          { 0, ms that it lives } in use or of another layout, unchanged; nil: no such session
local layout, touched, expires = unpack(redis.call('HMGET', KEYS[1], 'v', 't', 'x'))
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not expires or now >= tonumber(expires) then return nil end
if layout ~= ARGV[1] or not touched or now - tonumber(touched) < tonumber(ARGV[2]) then
  return { 0, expires - now }
end
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, #ARGV[3]) == ARGV[3] then
    local generation, endpoint, rest = string.match(fields[i + 1], '^(%d+) ([^ ;]+)(.+)$')
    if generation and endpoint ~= ARGV[5] then redis.call('HSET', KEYS[1], fields[i], generation .. ' ' .. ARGV[4] .. rest) end
  end
end
table.insert(fields, 1, 1)
return fields
