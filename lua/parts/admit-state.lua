
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
local keys, lasting = {}, {}       -- counter: key up to the bucket; whether its buckets live as long as the campaign
local used, added = {}, {}         -- counter: subject: units used; units this batch adds
local charged = {}                 -- key, subject, counter of each count to write
local starts, ends = {}, {}        -- counter: its current window; 0 where time alone changes nothing

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

-- Units a subject has used of a counter in its current window.
local function count(counter, subject, key)
  local pair = call('HMGET', key, MARK, subject)
  if not pair[1] and lasting[counter] then
    lost = true
  end
  local n = (tonumber(pair[2]) or 0) + (added[counter][subject] or 0)
  used[counter][subject] = n
  return n
end

-- Adds to a count of this batch; `list` names each once.
local function charge(list, counter, subject, key, cost)
  local before = added[counter][subject]
  if not before then
    local i = #list
    list[i + 1], list[i + 2], list[i + 3] = key, subject, counter
  end
  added[counter][subject] = (before or 0) + cost
  local n = used[counter][subject]
  if n then
    used[counter][subject] = n + cost
  end
end
