
-- The mark of a bucket: see lua/README.md.
local MARK = '\255'
local lost = false  -- a key that must be there is not

-- What a bucket holds in a field; false for nothing.
local function count(key, field, lasting)
  local pair = call('HMGET', key, MARK, field)
  if not pair[1] and lasting then
    lost = true
  end
  return pair[2]
end

-- Units left of a SKU; none of one the campaign does not have.
local function units(sku)
  local left = call('HGET', prefix .. 'stock', sku)
  if not left then
    lost = lost or call('EXISTS', prefix .. 'stock') == 0
  end
  return left or '0'
end
