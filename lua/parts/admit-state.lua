
-- The marks of a bucket: see lua/README.md.
local MARK, BALLAST = '\255', '\255' .. string.rep('-', 64)

local attempts = tonumber(ARGV[2])
if attempts > batch_max then
  return redis.error_reply('ERR admit: more than ' .. batch_max .. ' attempts')
end

-- Everything is read once per call, and kept with what earlier attempts of this batch changed.
local lost = false                 -- a key that must be there is not
local stock, sold = {}, {}         -- SKU: units left; units this batch takes
local decided = {}                 -- order id: record tail, of orders this batch admits
local taken, homes = {}, {}        -- positions of admitted attempts; keys of their records
local admitted, repeats = 0, {}    -- repeats: position of an attempt whose order this batch admitted: its tail
local orders = prefix .. 'orders:'
-- Counts lie in groups: one row per subject, with a place for each counter of the group.
local keys, read, rows = {}, {}, {}  -- group: key up to the bucket; reads a row; subject: row
local touched = {}                   -- group: rows to write
local starts, ends = {}, {}          -- group: its current window

-- The record of an order admitted by an earlier call.
local function record(order, key)
  local pair = call('HMGET', key, MARK, order)
  if not pair[1] then
    lost = true
  end
  return pair[2]
end

-- Units left of a SKU; false where the campaign does not have it.
local function units(sku)
  local left = tonumber(call('HGET', prefix .. 'stock', sku))
  if not left then
    lost = lost or call('EXISTS', prefix .. 'stock') == 0
    return false
  end
  stock[sku] = left
  return left
end

-- Notes that a row was charged.
local function touch(group, row)
  if not row.touched then
    row.touched = true
    local list = touched[group]
    list[#list + 1] = row
  end
end
