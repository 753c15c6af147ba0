-- Counts a replaced backend session of a live session, unless the last one is too recent. The same rule as core/brake.ts.
-- KEYS[1]  the session's hash
-- ARGV[1]  field of the debt
-- ARGV[2]  ms that this replacement adds to the debt; 0 asks without counting
-- ARGV[3]  BEGINNING_MS
-- ARGV[4]  FREE_DEBT_MS
-- ARGV[5]  MOST_DEBT_MS
-- ARGV[6]  FIRST_AGE_MS
-- ARGV[7]  LONGEST_AGE_MS
-- Answers  { 1, debt } granted; { 0, ms to wait } too early; nil: no such session
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
