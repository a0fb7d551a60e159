
-- The integer that a text says, as JSON writes one: other values where the text is empty, and where it says none or one
-- that is out of bounds.
local find = string.find
local function integer(text, low, high, missing, unreadable)
  if text == '' then
    return missing
  end
  if text ~= '0' and not find(text, '^%-?[1-9][0-9]*$') then
    return unreadable
  end
  local n = tonumber(text)
  if n < low or n > high then
    return unreadable
  end
  return n
end
