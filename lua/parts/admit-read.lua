
-- The mark of a bucket: see lua/README.md.
local MARK = '\255'

-- How wide the numbers of attempts are, where the epoch begins in the fence; in two bytes each how many attempts, buckets of
-- buyers and SKUs there are, and how many fields of each bucket are asked for; then five numbers per attempt.
local facts, byte = ARGV[2], string.byte
local wide, epoch, a, b, c, d, e, f = byte(facts, 1, 8)
local attempts, buckets, skus = a * 256 + b, c * 256 + d, e * 256 + f
if attempts > batch_max then
  return redis.error_reply('ERR admit: more than ' .. batch_max .. ' attempts')
end

-- Everything is read once per call, and kept with what earlier attempts of this batch changed.
local lost = false                 -- a key that must be there is not
local stock = skus > 0 and call('HMGET', prefix .. 'stock', unpack(ARGV, 4, 3 + skus)) or {}
for item = 1, skus do
  -- Units left; false where the campaign does not have the SKU.
  stock[item] = tonumber(stock[item]) or false
  lost = lost or not stock[item] and call('EXISTS', prefix .. 'stock') == 0
end
local at, place = 4 + skus, 9      -- in ARGV; in the facts
local held, from = {}, {}          -- bucket: its key, then the values read of it; their fields begin behind ARGV[from + 1]
for bucket = 1, buckets do
  local home = prefix .. 'buyers:' .. ARGV[at]
  local high, low = byte(facts, place, place + 1)
  local last = at + high * 256 + low
  local values = call('HMGET', home, MARK, unpack(ARGV, at + 1, last))
  if not values[1] then
    lost = true
  end
  values[1] = home                 -- in the place of the mark
  held[bucket], from[bucket] = values, at - 1
  at, place = last + 1, place + 2
end

local admitted, again = 0, false   -- again: some order came twice in this batch
local writes, sold = {}, {}        -- bucket: fields and values; SKUs that this batch takes of
