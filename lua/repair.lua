#!lua
-- repair: puts one value right, unless it has changed since somebody compared it.
--
-- KEYS[1]  state key of the shard; the other keys are derived from its prefix
-- ARGV     fence, step, …
--   stock  sku, reopened, units      adds units (or takes them off, down to none) when nobody gave stock back since
--                                    `state.reopened` was read: then only admissions changed it
--   order  bucket of the user, order id, record  writes the record of an order that has none
--   count  key after the prefix, field, value there ('' for none), value to be ('' removes it),
--          expiry of the key ('' where it lives as long as the campaign), reopened: a count that an order gave back
--          and another one took since may look the same and stand for others
-- Reply    {'fence', fence there or ''}   the caller's fence is not the shard's: nothing was done
--          {'ok', before, after}          values as text
--          {'moved', there}               it is not as it was compared: nothing was done

local call = redis.call
local state = KEYS[1]
local prefix = string.sub(state, 1, -#'state' - 1)

local fields = call('HMGET', state, 'fence', 'reopened')
if not fields[1] or fields[1] ~= ARGV[1] then
  return {'fence', fields[1] or ''}
end

-- The marks of a bucket: see README.md.
local MARK, BALLAST = '\255', '\255' .. string.rep('-', 64)

local steps = {}

function steps.stock()
  local stock, sku, units = prefix .. 'stock', ARGV[3], tonumber(ARGV[5])
  local left = call('HGET', stock, sku)
  if not left or (fields[2] or '') ~= ARGV[4] then
    return {'moved', left or ''}
  end
  local after = string.format('%.0f', math.max(0, left + units))
  call('HSET', stock, sku, after)
  call('HINCRBY', state, 'reopened', 1)
  return {'ok', left, after}
end

function steps.order()
  local home = prefix .. 'buyers:' .. ARGV[3]
  local there = call('HMGET', home, MARK, ARGV[4])
  if not there[1] or there[2] then
    return {'moved', there[2] or ''}
  end
  call('HSET', home, ARGV[4], ARGV[5])
  return {'ok', '', ARGV[5]}
end

function steps.count()
  local key, field, expected, value = prefix .. ARGV[3], ARGV[4], ARGV[5], ARGV[6]
  local there = call('HGET', key, field) or ''
  if there ~= expected or (fields[2] or '') ~= ARGV[8] then
    return {'moved', there}
  end
  if value == '' then
    call('HDEL', key, field)
  elseif ARGV[7] == '' then
    call('HSET', key, field, value)
  else
    call('HSET', key, MARK, '', BALLAST, '', field, value)
    call('PEXPIREAT', key, ARGV[7])
  end
  return {'ok', expected, value}
end

if not steps[ARGV[2]] then
  return redis.error_reply('ERR repair: unknown step')
end
return steps[ARGV[2]]()
