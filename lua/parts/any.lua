
-- Whether a table has a text or, of an array, one of its elements: the byte 31 stands before each.
local function any(entries, value)
  if string.byte(value) ~= 31 then
    return entries[value] == true
  end
  for element in string.gmatch(value, '\31([^\31]*)') do
    if entries[element] then
      return true
    end
  end
  return false
end
