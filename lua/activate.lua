#!lua
-- activate: moves the fence to a newer epoch and revision, and adds the units that came with it.
--
-- KEYS[1]  state key of the shard; the other keys are derived from its prefix
-- ARGV     fence (new), revision, opens_at, closes_at, expires_at,
--          number of the last change of the stock, its epoch, SKU and units, where units were added by it; otherwise '' each,
--          then per family of buckets that live as long as the campaign: its key up to the bucket (after the
--          prefix), number of buckets
-- Reply    {'ok'}                         the fence is the new one; also when it already was
--          {'fence', fence there or ''}   other uid, no state, a newer epoch or version: nothing was done
--
-- From here on every script called with an older fence answers `fence`. A family that was never made is made here, with
-- the same marks as `restore` makes. To make one last longer is the work of `prolong`, before: it takes many calls. Buckets
-- that go too early all the same close the gate, and are rebuilt.

-- Units of a change are added where the shard has the change before it: `restock` sees to that before the change is made. So
-- they are added once, whoever moves the fence and how often. A shard that was rebuilt since, under a later epoch, has them.

local call = redis.call
local state = KEYS[1]
local prefix = string.sub(state, 1, -#'state' - 1)
local fence, revision, opens_at, closes_at, expires_at = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local change, since, sku, units = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8], ARGV[9]

local there = call('HGET', state, 'fence')
if not there then
  return {'fence', ''}
end

-- part: fence

local uid, version, epoch = read_fence(fence)
local uid_there, version_there, epoch_there = read_fence(there)
if not uid then
  return redis.error_reply('ERR activate: malformed fence')
end
if uid ~= uid_there or version_there > version or epoch_there > epoch then
  return {'fence', there}
end

-- The marks of a bucket: see README.md.
local MARK, BALLAST = '\255', '\255' .. string.rep('-', 64)
-- A family is made once, not at every activation: that would be thousands of writes at once, and would hide that a
-- bucket was lost.
for i = 10, #ARGV, 2 do
  local family = ARGV[i]
  if not call('HGET', state, 'made:' .. family) then
    for bucket = 0, ARGV[i + 1] - 1 do
      local key = prefix .. family .. string.format('%.0f', bucket)
      call('HSET', key, MARK, '', BALLAST, '')
      call('PEXPIREAT', key, expires_at)
    end
    call('HSET', state, 'made:' .. family, expires_at)
  end
end
if change and epoch_there <= since and tonumber(call('HGET', state, 'stock_change') or '') == change - 1
  and call('HGET', prefix .. 'stock', sku) then
  call('HINCRBY', prefix .. 'stock', sku, units)
  call('HSET', state, 'stock_change', ARGV[6])
  call('HINCRBY', state, 'reopened', 1)
end
call('PEXPIREAT', prefix .. 'stock', expires_at)
call('PEXPIREAT', prefix .. 'outbox', expires_at)
call('PEXPIREAT', prefix .. 'figures', expires_at)
call('HSET', state, 'revision', revision, 'opens_at', opens_at, 'closes_at', closes_at,
  'expires_at', expires_at, 'fence', fence)
call('PEXPIREAT', state, expires_at)
return {'ok'}
