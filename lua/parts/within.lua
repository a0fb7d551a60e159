
-- Whether a list of addresses has one of the ranges that an address is in. `places`: bucket and range of each.
local function within(versions, places)
  for bucket, range in string.gmatch(places, '(%S+) (%S+)') do
    if member(versions .. bucket, range) then
      return true
    end
  end
  return false
end
