-- Reads the part of a live session that a request needs, and whether a touch is due. Read-only.
-- KEYS[1]  the session's hash
-- ARGV[1]  ms after the last touch from which the next one is due
-- ARGV[2]  field of the binding to the request's backend
-- ARGV[3]  field of the generation on which the client listened there
-- Answers  { touch due: 0 or 1, layout, owner, route, binding, listening }, false for an absent field; nil: no such session
local layout, owner, route, touched, expires, binding, listening =
  unpack(redis.call('HMGET', KEYS[1], 'v', 'o', 'r', 't', 'x', ARGV[2], ARGV[3]))
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not expires or now >= tonumber(expires) then return nil end
local due = touched and now - tonumber(touched) > tonumber(ARGV[1])
return { due and 1 or 0, layout, owner, route, binding, listening }
