-- Reads of a live session what a request needs, and says whether a touch is due. Reads only.
-- KEYS[1]  the session's hash
-- ARGV[1]  ms since the last touch after which one is due
-- ARGV[2]  field of the binding to the request's backend
-- ARGV[3]  field of how it listened there
-- Answers  nil where there is none; { 0 or 1, layout, owner, route, binding, how it listened }, false for what it has not
local layout, owner, route, touched, expires, binding, listening =
  unpack(redis.call('HMGET', KEYS[1], 'v', 'o', 'r', 't', 'x', ARGV[2], ARGV[3]))
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not expires or now >= tonumber(expires) then return nil end
local due = touched and now - tonumber(touched) > tonumber(ARGV[1])
return { due and 1 or 0, layout, owner, route, binding, listening }
