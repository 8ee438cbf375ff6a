import { CLAIM_MS, SILENT_MS } from '../../locks/contract/lock-store.js';
import { script } from './redis.scripts.js';

/*
 * KEYS of all of them: lock (`owner|fence`), last fence, queue (ZSET of owners by arrival), waiters (HASH owner -> `until|channel`).
 * All four carry one hash tag. The lock's own TTL is the lease.
 */

const LOCK = `
local function micros()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function integer(number) return string.format('%.0f', number) end
local function holder()
  local lock = redis.call('GET', KEYS[1])
  if not lock then return nil end
  local bar = string.find(lock, '|', 1, true)
  return string.sub(lock, 1, bar - 1), string.sub(lock, bar + 1)
end
local function leave(owner)
  redis.call('ZREM', KEYS[3], owner)
  redis.call('HDEL', KEYS[4], owner)
end`;

// A fence outlives its lock by a week, in which clocks that went back have caught up.
const GRANT = `
local function nextFence() return integer(math.max(micros(), (tonumber(redis.call('GET', KEYS[2])) or 0) + 1)) end
local function grant(owner, ms, fence)
  fence = fence or nextFence()
  redis.call('SET', KEYS[2], fence, 'PX', 604800000)
  redis.call('SET', KEYS[1], owner .. '|' .. fence, 'PX', ms)
  return fence
end`;

// The first that is not silent. PUBLISH counts who hears it: nobody there, nobody alive; not in a cluster, and not without the right to.
const HAND_OVER = `
local function head()
  while true do
    local owner = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
    if not owner then return nil end
    local waiter = redis.call('HGET', KEYS[4], owner)
    local bar = waiter and string.find(waiter, '|', 1, true)
    if bar and tonumber(string.sub(waiter, 1, bar - 1)) > micros() then return owner, string.sub(waiter, bar + 1) end
    leave(owner)
  end
end
local function handOver(counts)
  while true do
    local owner, channel = head()
    if not owner then return false end
    leave(owner)
    local fence = nextFence()
    local heard = channel ~= '' and redis.pcall('PUBLISH', channel, owner .. '|' .. fence .. '|' .. KEYS[1])
    if heard ~= 0 or counts ~= '1' then
      grant(owner, ${CLAIM_MS}, fence)
      return true
    end
  end
end`;

/** ARGV owner, lease ms, counts, and for those who wait channel, most waiters. {1, fence} | {0 or 2, ms left, waiting, holder's fence}. */
export const ACQUIRE_LOCK = script(`${LOCK}${GRANT}
local me = ARGV[1]
local owner, fence = holder()
if not owner and redis.call('EXISTS', KEYS[3]) == 0 then return {1, grant(me, ARGV[2])} end
${HAND_OVER}
if owner == me then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {1, fence}
end
if not owner then
  local first = head()
  if not first or first == me then
    if first then leave(me) end
    return {1, grant(me, ARGV[2])}
  end
  if not handOver(ARGV[3]) then return {1, grant(me, ARGV[2])} end
  owner, fence = holder()
  if owner == me then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return {1, fence}
  end
end
local left = redis.call('PTTL', KEYS[1])
local waiting = redis.call('ZCARD', KEYS[3])
if ARGV[4] then
  if not redis.call('ZSCORE', KEYS[3], me) then
    if waiting >= tonumber(ARGV[5]) then
      head()
      waiting = redis.call('ZCARD', KEYS[3])
      if waiting >= tonumber(ARGV[5]) then return {2, left, waiting} end
    end
    local last = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')[2]
    redis.call('ZADD', KEYS[3], integer(math.max(micros(), (tonumber(last) or 0) + 1)), me)
    waiting = waiting + 1
  end
  redis.call('HSET', KEYS[4], me, integer(micros() + ${SILENT_MS * 1000}) .. '|' .. ARGV[4])
  redis.call('PEXPIRE', KEYS[3], ${SILENT_MS * 2})
  redis.call('PEXPIRE', KEYS[4], ${SILENT_MS * 2})
end
return {0, left, waiting, fence}`);

/** KEYS lock; ARGV owner, ms. */
export const RENEW_LOCK = script(`${LOCK}
if holder() ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`);

/** KEYS lock, record. ARGV owner, record, its ms. */
export const KEEP_RECORD = script(`${LOCK}
if holder() ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1`);

/** KEYS record. */
export const READ_RECORD = script(`return redis.call('GET', KEYS[1])`);

/** ARGV owner ('' for whoever holds it), counts. 1 released, 0 gone, -1 somebody else's. Out of memory refuses no DEL. */
export const RELEASE_LOCK = script(`${LOCK}
local owner = holder()
if owner ~= ARGV[1] and ARGV[1] ~= '' then
  leave(ARGV[1])
  return owner and -1 or 0
end
if not owner then return 0 end
redis.call('DEL', KEYS[1])
if redis.call('EXISTS', KEYS[3]) == 0 then return 1 end
${GRANT}${HAND_OVER}
pcall(handOver, ARGV[2])
return 1`);

/** {owner or '', fence or '', ms left, waiting}. */
export const INSPECT_LOCK = script(`${LOCK}
local owner, fence = holder()
return {owner or '', fence or '', redis.call('PTTL', KEYS[1]), redis.call('ZCARD', KEYS[3])}`);
