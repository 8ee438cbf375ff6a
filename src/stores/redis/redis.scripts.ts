import { createHash } from 'node:crypto';
import {
  FRAME_HEAD_BYTES,
  FRAME_IDENTITY_BYTES,
  FRESH_UNTIL_OFFSET,
  SOFT_MARK,
  STAMP_MARK,
} from '../contract/cache-store.js';

/** A constant Lua text and the name the server knows it by. */
export interface RedisScript {
  readonly sha: string;
  readonly text: string;
}

/** Used by the lock scripts, too. */
export function script(text: string): RedisScript {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

// A lease is `token|fence`, and a `+` once somebody else has asked for it.
const OWNS = `
local function owns(key, token)
  local lease = redis.call('GET', key)
  return lease and string.sub(lease, 1, #token + 1) == token .. '|' and lease
end`;

// '' means for ever.
const STORE = `
local function store(key, frame, ttl)
  if ttl == '' then redis.call('SET', key, frame) else redis.call('SET', key, frame, 'PX', ttl) end
end`;

// In the same step as the change, for who cannot have the server track it. No channel on a cluster, where each message would go to all. Who may
// not publish has changed it all the same: taken for a failure, it would be tried again for ever.
const REPORT = `
local function report(channel, message)
  if channel ~= '' then redis.pcall('PUBLISH', channel, message) end
end`;

// Told with the server's time, `seconds.microseconds`: replies may be ahead of reports.
const TIMED = `time[1] .. '.' .. time[2] .. ':'`;

const SEND = `
local function send(channel, update, frame)
  local time = redis.call('TIME')
  report(channel, update .. ${TIMED} .. frame)
end`;

// Server time in front of the random part: it never repeats, also when the client's random source does.
const MINT = `
local function mint(random)
  local time = redis.call('TIME')
  local left, digits = time[1] * 1000000 + time[2], ''
  while left > 0 do
    local digit = left % 36
    digits = string.sub('0123456789abcdefghijklmnopqrstuvwxyz', digit + 1, digit + 1) .. digits
    left = (left - digit) / 36
  end
  return digits .. '.' .. random
end`;

/** KEYS entry, lease; ARGV token, lease ms, fence, identity seen, steal. Replies {0, microseconds, stale} granted, {1, frame}, {2, ms left, stale}. */
export const ACQUIRE = script(`
local stale
if ARGV[5] ~= '1' then
  local head = redis.call('GETRANGE', KEYS[1], 0, ${FRAME_HEAD_BYTES - 1})
  if head ~= '' and string.sub(head, 1, ${FRAME_IDENTITY_BYTES}) ~= ARGV[4] then
    local frame = redis.call('GET', KEYS[1])
    local time = redis.call('TIME')
    if #head < ${FRAME_HEAD_BYTES} or time[1] * 1000 + time[2] / 1000 < struct.unpack('>d', head, ${FRESH_UNTIL_OFFSET + 1}) then return {1, frame} end
    stale = frame
  end
  local lease = redis.call('GET', KEYS[2])
  if lease then
    local bar = string.find(lease, '|', 1, true)
    local wanted = string.sub(lease, -1) == '+'
    if string.sub(lease, 1, bar - 1) ~= ARGV[1] and string.sub(lease, bar + 1, wanted and -2 or -1) == ARGV[3] then
      local left = redis.call('PTTL', KEYS[2])
      if not wanted and left > 0 then redis.call('SET', KEYS[2], lease .. '+', 'PX', left) end
      return {2, left, stale}
    end
  end
end
redis.call('SET', KEYS[2], ARGV[1] .. '|' .. ARGV[3], 'PX', ARGV[2])
local time = redis.call('TIME')
return {0, time[1] * 1000000 + time[2], stale}`);

/** KEYS lease; ARGV token, lease ms. */
export const RENEW = script(`${OWNS}
if not owns(KEYS[1], ARGV[1]) then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`);

/** KEYS entry, lease; ARGV token, frame, ttl, report channel, report, and for those who wait another channel, and what the frame is sent with or ''. */
export const FILL = script(`${OWNS}${STORE}${REPORT}${SEND}
local lease = owns(KEYS[2], ARGV[1])
if not lease then return 0 end
store(KEYS[1], ARGV[2], ARGV[3])
redis.call('DEL', KEYS[2])
if ARGV[7] ~= '' and string.sub(lease, -1) == '+' then send(ARGV[6], ARGV[7], ARGV[2]) else report(ARGV[4], ARGV[5]) end
return 1`);

/** KEYS lease; ARGV token, channel, message. */
export const RELEASE = script(`${OWNS}
if not owns(KEYS[1], ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1])
redis.pcall('PUBLISH', ARGV[2], ARGV[3])
return 1`);

/**
 * KEYS entry, lease; ARGV frame, ttl, channel, what the frame is sent with. What nearly all updates are, without anything that it does not
 * need: those who wait for the news wait for the script.
 */
export const SEND_UPDATE = script(`
local call = redis.call
call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
call('DEL', KEYS[2])
local time = call('TIME')
redis.pcall('PUBLISH', ARGV[3], ARGV[4] .. ${TIMED} .. ARGV[1])
return 1`);

/** KEYS entry, lease; ARGV frame, ttl, conditional, identity seen, absent, report channel, report, whether the frame is sent with it. Replies 1, or what stood in the way. */
export const WRITE = script(`${STORE}${REPORT}${SEND}
if ARGV[3] == '1' then
  local identity = redis.call('GETRANGE', KEYS[1], 0, 15)
  local holds = identity == ARGV[4]
  if identity == '' then holds = ARGV[5] == '1' end
  if not holds then return redis.call('GET', KEYS[1]) end
end
store(KEYS[1], ARGV[1], ARGV[2])
redis.call('DEL', KEYS[2])
if ARGV[8] == '1' then send(ARGV[6], ARGV[7], ARGV[1]) else report(ARGV[6], ARGV[7]) end
return 1`);

/**
 * KEYS entry, lease; ARGV report channel, report. What is not there is reported, too: it may have expired here, or never have been stored, and be
 * remembered or loaded elsewhere. Also to those who have the server track it, which names nothing but what changes.
 */
export const REMOVE = script(`${REPORT}
local removed = redis.call('UNLINK', KEYS[1])
redis.call('DEL', KEYS[2])
report(ARGV[1], ARGV[2])
if removed == 0 and not redis.pcall('SET', KEYS[1], '').err then redis.call('UNLINK', KEYS[1]) end
return removed`);

/** KEYS token; ARGV random, report channel, report. Marked as no rotation by `0.`. */
export const CREATE_TOKEN = script(`${MINT}${REPORT}
local token = redis.call('GET', KEYS[1])
if token then return token end
token = '0.' .. mint(ARGV[1])
redis.call('SET', KEYS[1], token)
report(ARGV[2], ARGV[3])
return token`);

/** KEYS token; ARGV random, report channel, report. Keeps the part in front of the mark. */
export const SOFTEN_TOKEN = script(`${MINT}${REPORT}
local token = redis.call('GET', KEYS[1])
local soft = mint(ARGV[1])
if token then
  local mark = string.find(token, '${SOFT_MARK}', 1, true)
  token = (mark and string.sub(token, 1, mark - 1) or token) .. '${SOFT_MARK}' .. soft
else
  token = soft
end
redis.call('SET', KEYS[1], token)
report(ARGV[2], ARGV[3])
return token`);

/** KEYS token; ARGV random, report channel, report. */
export const ROTATE_TOKEN = script(`${MINT}${REPORT}
local token = mint(ARGV[1])
redis.call('SET', KEYS[1], token)
report(ARGV[2], ARGV[3])
return token`);

/** KEYS token; ARGV random, stamp, grace ms, report channel, report. Replies the token, a new one unless it says so already. */
export const STAMP_TOKEN = script(`${MINT}${REPORT}
local before = redis.call('GET', KEYS[1])
local parts = {}
if before then
  for part in string.gmatch(before, '[^${STAMP_MARK}]+') do parts[#parts + 1] = part end
end
local time = redis.call('TIME')
local ends = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3]
local own, graced = parts[1], parts[3]
if before and parts[2] == ARGV[2] then
  if not graced or tonumber(parts[4]) <= ends then return before end
else
  graced = own
  own = mint(ARGV[1])
end
local token = own .. '${STAMP_MARK}' .. ARGV[2]
if graced and tonumber(ARGV[3]) > 0 then
  token = token .. '${STAMP_MARK}' .. graced .. '${STAMP_MARK}' .. string.format('%.0f', ends)
end
redis.call('SET', KEYS[1], token)
report(ARGV[4], ARGV[5])
return token`);
