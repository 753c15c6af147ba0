-- Counts a beginning of a live session at a backend, unless the last one is too young: what brake.ts does. At no cost it asks.
-- KEYS[1]  the session's hash
-- ARGV[1]  field of the debt
-- ARGV[2]  ms that this one adds to it
-- ARGV[3]  ms of one beginning
-- ARGV[4]  debt up to which none has to wait
-- ARGV[5]  most debt
-- ARGV[6]  ms that the last one must have lived beyond that, at first
-- ARGV[7]  the same, at most
-- Answers  { 1, debt } counted; { 0, ms to wait } too early; nil where there is no session
local expires, last = unpack(redis.call('HMGET', KEYS[1], 'x', ARGV[1]))
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not expires or now >= tonumber(expires) then return nil end
local debt = 0
local before, at = string.match(last or '', '^(%d+) (%d+)$')
if before then
  debt = tonumber(before)
  local age = math.max(0, now - tonumber(at))
  local beyond = math.floor((debt - tonumber(ARGV[4])) / tonumber(ARGV[3]))
  local wanted = beyond < 0 and 0 or math.min(tonumber(ARGV[7]), tonumber(ARGV[6]) * 2 ^ beyond)
  if age < wanted then return { 0, wanted - age } end
  debt = math.max(0, debt - age)
end
debt = math.min(debt + tonumber(ARGV[2]), tonumber(ARGV[5]))
if ARGV[2] ~= '0' then redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %d', debt, now)) end
return { 1, debt }
