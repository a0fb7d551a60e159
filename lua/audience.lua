#!lua
-- audience: puts buckets of an uploaded list next to a campaign shard.
--
-- KEYS[1]  state key of the shard; the other keys are derived from its prefix
-- ARGV     uid, token or '', family (key up to the bucket, after the prefix), buckets of the family, expires_at,
--          first bucket, then per bucket from there on: number of members, member × number
-- Reply    {'ok', 1 | 0}                  whether the family is complete and stays as long as it has to
--          {'fence', fence there or ''}   no open gate of this uid, and with a token: nobody rebuilds under it;
--                                         nothing was done
--
-- Call it with the buckets in order, from 0 on: the last one makes the family complete. A version of a list never
-- changes, so a call may be repeated, and without buckets it only asks. A family that another revision needs longer keeps
-- its expiry.

local call = redis.call
local state = KEYS[1]
local prefix = string.sub(state, 1, -#'state' - 1)
local uid, token, family, buckets = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local expires_at, bucket = ARGV[5], tonumber(ARGV[6])

-- part: fence

local there = call('HMGET', state, 'fence', 'rebuilding', 'made:' .. family)
local ours = read_fence(there[1]) == uid
local rebuilding = token ~= '' and there[2] == token
if not ours and not rebuilding then
  return {'fence', there[1] or ''}
end
local made = tonumber(there[3]) or 0
if made > tonumber(expires_at) then
  expires_at = there[3]
end

-- The mark of a bucket: see README.md. There is no ballast: a bucket is small enough to be read from end to end.
local MARK = '\255'
-- Values given to one command: more would overflow the stack of `unpack`.
local PIECE = 1000

local at = 7
while at <= #ARGV do
  local key = prefix .. family .. string.format('%.0f', bucket)
  local last = at + ARGV[at]
  call('UNLINK', key)
  call('HSET', key, MARK, '')
  local fields = {}
  for i = at + 1, last do
    local n = #fields
    fields[n + 1], fields[n + 2] = ARGV[i], ''
    if #fields == PIECE or i == last then
      call('HSET', key, unpack(fields))
      fields = {}
    end
  end
  call('PEXPIREAT', key, expires_at)
  bucket, at = bucket + 1, last + 1
end
if bucket == buckets then
  call('HSET', state, 'made:' .. family, expires_at)
  made = tonumber(expires_at)
end
return {'ok', made >= tonumber(expires_at) and 1 or 0}
