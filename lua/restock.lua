#!lua
-- restock: readies a shard for a change of its stock, or takes units off it, once per change.
--
-- KEYS[1]  state key of the shard; the other keys are derived from its prefix
-- ARGV     fence, step, number of the change, sku, units
--   ready  the change before this one is the last that the shard has; a SKU that is new begins with 0 units (`units`: 0),
--          one that is not has to be there (`units`: '')
--   take   takes so many units, or those that are left
-- Reply    {'fence', fence there or ''}   the caller's fence is not the shard's: nothing was done
--          {'ok', units taken, units left}
--          {'lost'}                       the shard has no such SKU: nothing was done
--          {'late'}                       the shard has a later change, or is asked to get ready for one that it has:
--                                         nothing was done
--
-- The shard remembers the last change it has. The same one again takes nothing, and answers what it took.

local call = redis.call
local state = KEYS[1]
local stock = string.sub(state, 1, -#'state' - 1) .. 'stock'
local number, sku = tonumber(ARGV[3]), ARGV[4]

local there = call('HMGET', state, 'fence', 'stock_change', 'stock_taken')
if there[1] ~= ARGV[1] then
  return {'fence', there[1] or ''}
end
local last, left = tonumber(there[2]) or 0, call('HGET', stock, sku)

local steps = {}

function steps.ready()
  if last >= number then
    return {'late'}
  end
  if not left and (ARGV[5] == '' or call('EXISTS', stock) == 0) then
    return {'lost'}
  end
  if not left then
    left = ARGV[5]
    call('HSET', stock, sku, left)
  end
  call('HSET', state, 'stock_change', string.format('%.0f', number - 1))
  return {'ok', 0, left}
end

function steps.take()
  if not left then
    return {'lost'}
  end
  if last > number then
    return {'late'}
  end
  if last == number then
    return {'ok', there[3] or 0, left}
  end
  local taken = math.min(tonumber(ARGV[5]), math.max(tonumber(left), 0))
  local after = string.format('%.0f', left - taken)
  taken = string.format('%.0f', taken)
  call('HSET', stock, sku, after)
  call('HSET', state, 'stock_change', ARGV[3], 'stock_taken', taken)
  call('HINCRBY', state, 'reopened', 1)
  return {'ok', taken, after}
end

if not steps[ARGV[2]] or not number then
  return redis.error_reply('ERR restock: malformed arguments')
end
return steps[ARGV[2]]()
