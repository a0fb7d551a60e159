#!lua
-- prolong: makes the buckets of a family last longer, behind an open gate, a few per call.
--
-- KEYS[1]  state key of the shard; the other keys are derived from its prefix
-- ARGV     uid, fence of the first call's reply or '', family (key up to the bucket, after the prefix),
--          buckets of the family, expires_at, then the first and the last bucket of this call, or nothing to ask only
-- Reply    {'ok', fence, 1 | 0}           whether the family stays as long as it has to
--          {'fence', fence there or ''}   no open gate of this uid, or another fence than in the first call:
--                                         nothing was done
--          {'lost', key}                  a bucket that an open gate always has is not there
--
-- Call it with the buckets in order, from 0 on: the last one makes the family complete. A rebuild in between makes
-- the buckets anew, with the expiry it knows of; it raises the epoch, so the fence tells, and one begins again.

local call = redis.call
local state = KEYS[1]
local prefix = string.sub(state, 1, -#'state' - 1)
local uid, fence, family, buckets, expires_at = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]

-- part: fence

local there = call('HMGET', state, 'fence', 'made:' .. family)
local ours = read_fence(there[1]) == uid
if not ours or (fence ~= '' and there[1] ~= fence) then
  return {'fence', there[1] or ''}
end
if (tonumber(there[2]) or 0) >= tonumber(expires_at) then
  return {'ok', there[1], 1}
end
if not ARGV[7] then
  return {'ok', there[1], 0}
end

for bucket = tonumber(ARGV[6]), tonumber(ARGV[7]) do
  local name = family .. string.format('%.0f', bucket)
  if call('PEXPIREAT', prefix .. name, expires_at) == 0 then
    return {'lost', name}
  end
end
if tonumber(ARGV[7]) < buckets - 1 then
  return {'ok', there[1], 0}
end
call('HSET', state, 'made:' .. family, expires_at)
return {'ok', there[1], 1}
