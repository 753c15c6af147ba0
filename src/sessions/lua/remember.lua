-- Sets or removes a field of a live session.
-- KEYS[1]  the session's hash
-- ARGV[1]  the field
-- ARGV[2]  its value, empty to remove it
-- ARGV[3]  how the names of subscriptions begin
-- ARGV[4]  most subscriptions that there may be for a field to be added
-- Answers  1 done, 0 there is no session, 2 it has too many subscriptions
local expires = redis.call('HGET', KEYS[1], 'x')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not expires or now >= tonumber(expires) then return 0 end
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 1
end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  local count = 0
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(field, 1, #ARGV[3]) == ARGV[3] then count = count + 1 end
  end
  if count >= tonumber(ARGV[4]) then return 2 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
