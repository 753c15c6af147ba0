-- Sets or removes a field of a live session's remembered state, within its bounds. Reads the lengths of values, not the values.
-- KEYS[1]  the session's hash
-- ARGV[1]  the field
-- ARGV[2]  its value; empty removes the field
-- ARGV[3]  prefix of the fields of subscriptions
-- ARGV[4]  maximum number of subscriptions
-- ARGV[5]  prefix of the fields of log levels
-- ARGV[6]  maximum bytes of subscriptions and log levels, names and values
-- Answers  1 done; 0 no such session; 2 too many subscriptions; 3 too many bytes
local expires = redis.call('HGET', KEYS[1], 'x')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not expires or now >= tonumber(expires) then return 0 end
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 1
end
local function begins(field, with) return string.sub(field, 1, #with) == with end
if begins(ARGV[1], ARGV[3]) or begins(ARGV[1], ARGV[5]) then
  local count, bytes = begins(ARGV[1], ARGV[3]) and 1 or 0, #ARGV[1] + #ARGV[2]
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    local subscription = begins(field, ARGV[3])
    if field ~= ARGV[1] and (subscription or begins(field, ARGV[5])) then
      if subscription then count = count + 1 end
      bytes = bytes + #field + redis.call('HSTRLEN', KEYS[1], field)
    end
  end
  if count > tonumber(ARGV[4]) then return 2 end
  if bytes > tonumber(ARGV[6]) then return 3 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
