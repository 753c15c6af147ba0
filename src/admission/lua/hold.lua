-- Sets when a lease expires. A lease that is not live takes a slot: a free one, or that of an idle session, which it parks.
-- KEYS[1]  all leases, by expiry
-- KEYS[2]  leases of sessions, by last use; if no second request has named the session, by its beginning minus UNNAMED
-- KEYS[3]  parked leases, by expiry
-- KEYS[4]  the owner's live leases, by expiry; absent if the owner is not counted
-- KEYS[5]  the owner's leases, as KEYS[2]
-- ARGV[1]  the lease
-- ARGV[2]  ms until it expires
-- ARGV[3]  0 waiting, 1 unnamed, 2 used (`Use` in ledger.ts)
-- ARGV[4]  maximum number of live leases; -1: unlimited
-- ARGV[5]  maximum number of live leases of the owner; -1: unlimited
-- ARGV[6]  ms after its last use from which a session may be parked; -1: never
-- ARGV[7]  ms after its beginning from which an unnamed session may be parked
-- ARGV[8]  maximum number of leases to park
-- Answers  { 0 } a live lease was extended;
--          { 1, parked leases, dropped parked leases } it has taken a slot;
--          { 2 all slots are taken or 3 the owner's are, parked, dropped, ms until a slot may be free or -1, ms until a used session may be parked or -1 }
local all, uses, parked, own, own_uses = unpack(KEYS)
local lease, use, cap, own_cap = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local idle, unnamed, most = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
-- Offset that sorts unnamed leases before all others in the same set.
local UNNAMED = 1e13
-- Maximum number of stale members of `uses` that one search removes: other commands must not wait for it.
local MOST_GONE = 100

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- With fractions of a ms, so that no two uses have the same time.
local exact = time[1] * 1000 + time[2] / 1000
local wait, idle_in = -1, -1

local function soonest(ms)
  if wait < 0 or ms < wait then wait = ms end
end

-- The first live lease with a score in a range. Removes stale ones before it: expired, or parked for another owner's lease.
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

-- The lease to park, and its expiry; nil if none may be parked yet.
local function idlest(of)
  if idle < 0 then return nil end
  local candidate, score, expires = first_unnamed(of)
  if candidate then
    local left = score + UNNAMED + unnamed - exact
    if left <= 0 then return candidate, expires end
    soonest(left)
  end
  candidate, score, expires = first_used(of)
  if candidate then
    local left = score + idle - exact
    if left <= 0 then return candidate, expires end
    soonest(left)
    idle_in = left
  end
end

local given, ended = {}, {}

-- ZADD first: at its memory limit Redis refuses only the first write of a script.
local function park(candidate, expires)
  redis.call('ZADD', parked, expires, candidate)
  redis.call('ZREM', all, candidate)
  redis.call('ZREM', uses, candidate)
  if own then
    redis.call('ZREM', own, candidate)
    redis.call('ZREM', own_uses, candidate)
  end
  table.insert(given, candidate)
  if cap >= 0 and redis.call('ZCOUNT', parked, '(' .. now, '+inf') > cap then
    local over = redis.call('ZRANGEBYSCORE', parked, '(' .. now, '+inf', 'LIMIT', 0, 1)[1]
    redis.call('ZREM', parked, over)
    table.insert(ended, over)
  end
end

local function is_full(of, most_live)
  return of and most_live >= 0 and redis.call('ZCOUNT', of, '(' .. now, '+inf') >= most_live
end

-- Whether the cap still leaves no slot after parking idle sessions.
local function stays_full(of, of_uses, most_live)
  while is_full(of, most_live) do
    local candidate, expires
    if #given < most then candidate, expires = idlest(of_uses) else soonest(0) end
    if not candidate then
      local soon = redis.call('ZRANGEBYSCORE', of, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
      if #soon > 0 then soonest(tonumber(soon[2]) - now) end
      return true
    end
    park(candidate, expires)
  end
  return false
end

local held = redis.call('ZSCORE', all, lease)
local lives = held and tonumber(held) > now
if not lives then
  if is_full(own, own_cap) then
    -- Removes the owner's leases that were parked for others.
    first_unnamed(own_uses)
    first_used(own_uses)
  end
  if stays_full(own, own_uses, own_cap) then return { 3, given, ended, math.ceil(wait), math.ceil(idle_in) } end
  if stays_full(all, uses, cap) then return { 2, given, ended, math.ceil(wait), math.ceil(idle_in) } end
end

-- The first write, unless leases were parked: Redis at its memory limit refuses it before anything has changed.
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
