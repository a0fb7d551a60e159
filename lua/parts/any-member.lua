
-- The same of an array: whether one of its elements is. Value and buckets have the byte 31 before each.
local function any_member(keys, buckets, value)
  if string.byte(value) ~= 31 then
    return member(keys .. buckets, value)
  end
  local bucket = string.gmatch(buckets, '\31([^\31]*)')
  for element in string.gmatch(value, '\31([^\31]*)') do
    if member(keys .. bucket(), element) then
      return true
    end
  end
  return false
end
