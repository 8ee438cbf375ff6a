import { CLAIM_MS, SILENT_MS } from '../../locks/contract/lock-store.js';
import { script, type RedisScript } from './redis.scripts.js';

/*
 * KEYS of all of them: lock (`owner|fence`), last fence, queue (ZSET of owners by arrival), waiters (HASH owner -> `until|channel`).
 * All four carry one hash tag. The lock's own TTL is the lease.
 */

function lockScript(text: string): RedisScript {
  return script(`local call = redis.call${text}`);
}

// Statements, not functions: a function costs the server more to make than a command does to run, and most calls need none.

/** Leaves the lock in `lock`, and whether ARGV[1] is its owner in `isMine`. */
const LOOK = `
local lock = call('GET', KEYS[1])
local isMine = lock and string.sub(lock, 1, #ARGV[1] + 1) == ARGV[1] .. '|'`;

/** Leaves in `fence` the time, or what is more than the last one: as text, for numbers are slow to write. */
const MAKE_FENCE = `
  local time, last = call('TIME'), call('GET', KEYS[2])
  local fence = time[1] .. string.sub('00000' .. time[2], -6)
  if last and last - fence >= 0 then fence = string.format('%.0f', last + 1) end`;

// A fence outlives its lock by a week, in which clocks that went back have caught up.
const STORE_LOCK = `
  call('SET', KEYS[2], fence, 'PX', '604800000')
  call('SET', KEYS[1], owner .. '|' .. fence, 'PX', ms)`;

/** The way of nearly all: nobody holds it, and nobody waits for it. */
const GRANT_FREE = `
if call('EXISTS', KEYS[1], KEYS[3]) == 0 then
  local owner, ms = ARGV[1], ARGV[2]${MAKE_FENCE}${STORE_LOCK}
  return fence
end`;

const QUEUE = `
local function micros()
  local time = call('TIME')
  return time[1] * 1000000 + time[2]
end
local function integer(number) return string.format('%.0f', number) end
local function holder()
  local lock = call('GET', KEYS[1])
  if not lock then return nil end
  local bar = string.find(lock, '|', 1, true)
  return string.sub(lock, 1, bar - 1), string.sub(lock, bar + 1)
end
local function leave(owner)
  call('ZREM', KEYS[3], owner)
  call('HDEL', KEYS[4], owner)
end
local function grant(owner, ms)${MAKE_FENCE}${STORE_LOCK}
  return fence
end
local function head()
  while true do
    local owner = call('ZRANGE', KEYS[3], 0, 0)[1]
    if not owner then return nil end
    local waiter = call('HGET', KEYS[4], owner)
    local bar = waiter and string.find(waiter, '|', 1, true)
    if bar and tonumber(string.sub(waiter, 1, bar - 1)) > micros() then return owner end
    leave(owner)
  end
end`;

// The first that is not silent. PUBLISH counts who hears it: nobody there, nobody alive; not without the right to, and not where it is `blind`:
// in a cluster it counts one node's subscribers only.
const HAND_OVER = `
local function handOver(blind)
  local ms = ${CLAIM_MS}
  while true do
    local owner = call('ZPOPMIN', KEYS[3])[1]
    if not owner then return false end
    local waiter = call('HGET', KEYS[4], owner)
    call('HDEL', KEYS[4], owner)${MAKE_FENCE}
    local bar = waiter and string.find(waiter, '|', 1, true)
    if bar and tonumber(string.sub(waiter, 1, bar - 1)) > time[1] * 1000000 + time[2] then
      local channel = string.sub(waiter, bar + 1)
      local heard = channel ~= '' and redis.pcall('PUBLISH', channel, owner .. '|' .. fence .. '|' .. KEYS[1])
      if heard ~= 0 or blind == '1' then${STORE_LOCK}
        return true
      end
    end
  end
end`;

/**
 * ARGV owner, lease ms, then, where they are needed, blind, and for those who wait channel, most waiters. Replies the fence if it is granted,
 * else {0 or 2, ms left, waiting, holder's fence}.
 */
export const ACQUIRE_LOCK = lockScript(`${GRANT_FREE}${QUEUE}${HAND_OVER}
local me = ARGV[1]
local owner, fence = holder()
if owner == me then
  call('PEXPIRE', KEYS[1], ARGV[2])
  return fence
end
if not owner then
  local first = head()
  if not first or first == me then
    if first then leave(me) end
    return grant(me, ARGV[2])
  end
  if not handOver(ARGV[3]) then return grant(me, ARGV[2]) end
  owner, fence = holder()
  if owner == me then
    call('PEXPIRE', KEYS[1], ARGV[2])
    return fence
  end
end
local left = call('PTTL', KEYS[1])
local waiting = call('ZCARD', KEYS[3])
if ARGV[4] then
  if not call('ZSCORE', KEYS[3], me) then
    if waiting >= tonumber(ARGV[5]) then
      head()
      waiting = call('ZCARD', KEYS[3])
      if waiting >= tonumber(ARGV[5]) then return {2, left, waiting} end
    end
    local last = call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')[2]
    call('ZADD', KEYS[3], integer(math.max(micros(), (tonumber(last) or 0) + 1)), me)
    waiting = waiting + 1
  end
  call('HSET', KEYS[4], me, integer(micros() + ${SILENT_MS * 1000}) .. '|' .. ARGV[4])
  call('PEXPIRE', KEYS[3], ${SILENT_MS * 2})
  call('PEXPIRE', KEYS[4], ${SILENT_MS * 2})
end
return {0, left, waiting, fence}`);

/** KEYS lock; ARGV owner, ms. */
export const RENEW_LOCK = lockScript(`${LOOK}
if not isMine then return 0 end
return call('PEXPIRE', KEYS[1], ARGV[2])`);

/** KEYS lock, record. ARGV owner, record, its ms. */
export const KEEP_RECORD = lockScript(`${LOOK}
if not isMine then return 0 end
call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1`);

/** KEYS record. */
export const READ_RECORD = lockScript(`
return call('GET', KEYS[1])`);

/** ARGV owner ('' for whoever holds it), where it is needed blind. 1 released, 0 gone, -1 somebody else's. Out of memory refuses no DEL. */
export const RELEASE_LOCK = lockScript(`${LOOK}
if not isMine and (not lock or ARGV[1] ~= '') then
  call('ZREM', KEYS[3], ARGV[1])
  call('HDEL', KEYS[4], ARGV[1])
  return lock and -1 or 0
end
if call('EXISTS', KEYS[3]) == 1 then
  ${HAND_OVER}
  local isDone, isHanded = pcall(handOver, ARGV[2])
  if isDone and isHanded then return 1 end
end
call('DEL', KEYS[1])
return 1`);

/** {owner or '', fence or '', ms left, waiting}. */
export const INSPECT_LOCK = lockScript(`${QUEUE}
local owner, fence = holder()
return {owner or '', fence or '', call('PTTL', KEYS[1]), call('ZCARD', KEYS[3])}`);
