-- Has a lease run out some time from now. One that is not live takes a slot, if there is one, or that of an idle session.
-- KEYS[1]  all leases, by when they run out
-- KEYS[2]  those of sessions, by their last use; of one that no second request has named that is when it began, less UNNAMED
-- KEYS[3]  those that are parked, by when they would have run out
-- KEYS[4]  of its owner: those that live, by when they run out; left out for who is not counted
-- KEYS[5]  of its owner: as KEYS[2]
-- ARGV[1]  the lease
-- ARGV[2]  ms that it is to last
-- ARGV[3]  0 its initialize waits, 1 no second request has named it, 2 it is used now
-- ARGV[4]  most live leases in all, -1 for any number
-- ARGV[5]  most live leases of the owner, -1 for any number
-- ARGV[6]  ms since its last use after which a session may be parked, -1 for never
-- ARGV[7]  ms after which one may be parked that no second request has named
-- ARGV[8]  most that are parked for it
-- Answers  { 0 } it goes on; { 1, the leases that were parked for it, the parked ones that were ended for that } it has taken a slot;
--          { 2 none is left of all, or 3 none of the owner's, those parked, those ended, ms until there may be one, or -1 }
local all, uses, parked, own, own_uses = unpack(KEYS)
local lease, use, cap, own_cap = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local idle, unnamed, most = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
-- Sorts them before all others, and keeps both in one set.
local UNNAMED = 1e13
-- Leases that have gone and are still among the uses are looked at no further than this: others must not wait.
local MOST_GONE = 100

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- In fractions of a ms, so that no two uses are at once.
local exact = time[1] * 1000 + time[2] / 1000
local wait, idle_in = -1, -1

local function soonest(ms)
  if wait < 0 or ms < wait then wait = ms end
end

-- The first live one with a score in a range. Those before it that do not live have run out, or were parked for another owner's.
local function first(of, from, to)
  for _ = 1, MOST_GONE do
    local found = redis.call('ZRANGEBYSCORE', of, from, to, 'WITHSCORES', 'LIMIT', 0, 1)
    if #found == 0 then return nil end
    local expires = redis.call('ZSCORE', all, found[1])
    if expires and tonumber(expires) > now then return found[1], tonumber(found[2]), expires end
    redis.call('ZREM', uses, found[1])
    if own then
      redis.call('ZREM', own, found[1])
      redis.call('ZREM', own_uses, found[1])
    end
  end
end

local function first_unnamed(of) return first(of, '-inf', '(0') end
local function first_used(of) return first(of, '0', '+inf') end

-- The one to be parked, and when it would have run out; nil where there is none yet.
local function idlest(of)
  if idle < 0 then return nil end
  local one, score, expires = first_unnamed(of)
  if one then
    local left = score + UNNAMED + unnamed - exact
    if left <= 0 then return one, expires end
    soonest(left)
  end
  one, score, expires = first_used(of)
  if one then
    local left = score + idle - exact
    if left <= 0 then return one, expires end
    soonest(left)
    idle_in = left
  end
end

local given, ended = {}, {}

-- First a write that Redis refuses where it has no memory left: it refuses none that follows another.
local function park(one, expires)
  redis.call('ZADD', parked, expires, one)
  redis.call('ZREM', all, one)
  redis.call('ZREM', uses, one)
  if own then
    redis.call('ZREM', own, one)
    redis.call('ZREM', own_uses, one)
  end
  table.insert(given, one)
  if cap >= 0 and redis.call('ZCOUNT', parked, '(' .. now, '+inf') > cap then
    local over = redis.call('ZRANGEBYSCORE', parked, '(' .. now, '+inf', 'LIMIT', 0, 1)[1]
    redis.call('ZREM', parked, over)
    table.insert(ended, over)
  end
end

local function is_full(of, most_live)
  return of and most_live >= 0 and redis.call('ZCOUNT', of, '(' .. now, '+inf') >= most_live
end

-- Whether there is no room for one more, though idle ones are parked.
local function stays_full(of, of_uses, most_live)
  while is_full(of, most_live) do
    local one, expires
    if #given < most then one, expires = idlest(of_uses) else soonest(0) end
    if not one then
      local soon = redis.call('ZRANGEBYSCORE', of, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
      if #soon > 0 then soonest(tonumber(soon[2]) - now) end
      return true
    end
    park(one, expires)
  end
  return false
end

local held = redis.call('ZSCORE', all, lease)
local lives = held and tonumber(held) > now
if not lives then
  if is_full(own, own_cap) then
    -- Those of them that were parked for others go.
    first_unnamed(own_uses)
    first_used(own_uses)
  end
  if stays_full(own, own_uses, own_cap) then return { 3, given, ended, math.ceil(wait), math.ceil(idle_in) } end
  if stays_full(all, uses, cap) then return { 2, given, ended, math.ceil(wait), math.ceil(idle_in) } end
end

-- Before any other write, unless some were parked.
local expires = now + tonumber(ARGV[2])
redis.call('ZADD', all, expires, lease)
redis.call('ZREM', parked, lease)

local score = use == 1 and exact - UNNAMED or exact
if use == 0 then redis.call('ZREM', uses, lease) else redis.call('ZADD', uses, score, lease) end
if own then
  redis.call('ZREMRANGEBYSCORE', own, '-inf', now)
  redis.call('ZADD', own, expires, lease)
  if use == 0 then redis.call('ZREM', own_uses, lease) else redis.call('ZADD', own_uses, score, lease) end
  local last = redis.call('ZRANGE', own, -1, -1, 'WITHSCORES')
  redis.call('PEXPIREAT', own, last[2])
  redis.call('PEXPIREAT', own_uses, last[2])
end
if lives then return { 0 } end
return { 1, given, ended }
