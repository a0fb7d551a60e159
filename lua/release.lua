#!lua
-- release: undoes orders' charges and stock, each exactly once, in the windows they were made in.
--
-- KEYS[1]  state key of the shard; the other keys are derived from its prefix
-- ARGV     fence, then per order: order id, bucket of the user, sku, quantity (0 where no stock comes back), number of
--          charges, then per charge: kind (`counter` or `rolling`), key after the prefix, field, cost, moment
-- Reply    {'fence', fence there or ''}   the caller's fence is not the shard's: nothing was done
--          {'ok', then per order: 1 released, 0 released before, or never admitted}
--
-- The record's flag decides, so a second call finds `r` and does nothing. A charge whose key has
-- expired meanwhile is left alone: undoing it would make a negative count.

local call = redis.call
local state = KEYS[1]
local prefix = string.sub(state, 1, -#'state' - 1)

local fence = call('HGET', state, 'fence')
if fence ~= ARGV[1] then
  return {'fence', fence or ''}
end

-- Everything that could make a write fail is looked at before the first one.
local at = 2
while at <= #ARGV do
  local quantity, charges = tonumber(ARGV[at + 3] or ''), tonumber(ARGV[at + 4] or '')
  if not quantity or not charges or at + 4 + 5 * charges > #ARGV then
    return redis.error_reply('ERR release: malformed arguments')
  end
  for i = at + 5, at + 5 * charges, 5 do
    if (ARGV[i] ~= 'counter' and ARGV[i] ~= 'rolling') or not tonumber(ARGV[i + 3]) then
      return redis.error_reply('ERR release: malformed charge')
    end
  end
  at = at + 5 + 5 * charges
end

-- The entries without the first one that is exactly `entry`.
local function without(entries, entry)
  local kept, found = {}, false
  for each in string.gmatch(entries, '[^,]+') do
    if each == entry and not found then
      found = true
    else
      kept[#kept + 1] = each
    end
  end
  return table.concat(kept, ','), found
end

-- The entries with `cost` taken off those of the moment: a repair may have made one of several.
local function lowered(entries, moment, cost)
  local kept = {}
  for each in string.gmatch(entries, '[^,]+') do
    local at, units = string.match(each, '^(%-?%d+):(%d+)$')
    if at == moment then
      local taken = math.min(cost, tonumber(units))
      cost = cost - taken
      if tonumber(units) > taken then
        kept[#kept + 1] = string.format('%s:%.0f', at, units - taken)
      end
    else
      kept[#kept + 1] = each
    end
  end
  return table.concat(kept, ',')
end

-- Takes back the charge whose arguments begin at `i`.
local function take_back(i)
  local key, subject, cost = prefix .. ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local there = call('HGET', key, subject)
  if there and ARGV[i] == 'rolling' then
    local entries, found = without(there, ARGV[i + 4] .. ':' .. ARGV[i + 3])
    if not found then
      entries = lowered(there, ARGV[i + 4], cost)
    end
    call('HSET', key, subject, entries)
  elseif there then
    call('HINCRBY', key, subject, string.format('%.0f', -math.min(cost, tonumber(there) or 0)))
  end
end

local reply, any = {'ok'}, false
at = 2
while at <= #ARGV do
  local order, sku, quantity, charges = ARGV[at], ARGV[at + 2], tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local home = prefix .. 'buyers:' .. ARGV[at + 1]
  local record = call('HGET', home, order)
  local holds = record and string.sub(record, 1, 2) == 'a '
  if holds then
    call('HSET', home, order, 'r' .. string.sub(record, 2))
    if quantity > 0 and call('HGET', prefix .. 'stock', sku) then
      call('HINCRBY', prefix .. 'stock', sku, string.format('%.0f', quantity))
    end
    for i = at + 5, at + 5 * charges, 5 do
      take_back(i)
    end
    any = true
  end
  reply[#reply + 1] = holds and 1 or 0
  at = at + 5 + 5 * charges
end
if any then
  call('HINCRBY', state, 'reopened', 1)
end
return reply
