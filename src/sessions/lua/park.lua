-- Parks a live session that nothing has used for a while: puts a mark in place of the endpoint of each of its bindings.
-- KEYS[1]  the session's hash
-- ARGV[1]  layout that the caller reads: of another, it is left alone
-- ARGV[2]  ms since the last touch below which it is in use
-- ARGV[3]  how the fields of bindings begin
-- ARGV[4]  the mark
-- Answers  nil where there is none; { 0, ms that it still lives } it is in use, or left alone; { 1, field, value, field, value, … } parked, as it was before
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
    local generation, rest = string.match(fields[i + 1], '^(%d+) %S+ (.+)$')
    if generation then redis.call('HSET', KEYS[1], fields[i], generation .. ' ' .. ARGV[4] .. ' ' .. rest) end
  end
end
table.insert(fields, 1, 1)
return fields
