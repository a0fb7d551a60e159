
local attempts = tonumber(ARGV[2])
if attempts > batch_max then
  return redis.error_reply('ERR admit: more than ' .. batch_max .. ' attempts')
end

-- Everything is read once per call, and kept with what earlier attempts of this batch changed.
local lost = false                 -- a key that must be there is not
local stock, sold = {}, {}         -- SKU: units left; units this batch takes
local decided, taken = {}, {}      -- order id: record tail; positions of admitted attempts
local admitted, repeats = 0, {}    -- repeats: position of an attempt whose order this batch admitted: its tail
local orders = prefix .. 'orders:'
local keys, lasting = {}, {}       -- counter: key up to the bucket; whether its buckets live as long as the campaign
local used, added = {}, {}         -- counter: subject: units used; units this batch adds
local charged = {}                 -- key, subject, counter of each count to write
local starts, ends = {}, {}        -- counter: its current window; 0 where time alone changes nothing

-- The record of an order admitted by an earlier call.
local function record(order, bucket)
  local pair = call('HMGET', orders .. bucket, '', order)
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
local function count(counter, subject, bucket)
  local there
  if lasting[counter] then
    local pair = call('HMGET', keys[counter] .. bucket, '', subject)
    if not pair[1] then
      lost = true
    end
    there = pair[2]
  else
    there = call('HGET', keys[counter] .. bucket, subject)
  end
  local n = (tonumber(there) or 0) + (added[counter][subject] or 0)
  used[counter][subject] = n
  return n
end

-- Adds to a count of this batch.
local function charge(counter, subject, bucket, cost)
  local before = added[counter][subject]
  if not before then
    local i = #charged
    charged[i + 1], charged[i + 2], charged[i + 3] = keys[counter] .. bucket, subject, counter
  end
  added[counter][subject] = (before or 0) + cost
  local n = used[counter][subject]
  if n then
    used[counter][subject] = n + cost
  end
end

-- The numbers of a failed constraint.
local function measure(so_much, limit, retry_at)
  return format('%.0f %.0f %.0f', so_much, limit, retry_at)
end
