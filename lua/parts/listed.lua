
-- Whether a value is in a bucket of an uploaded list.
local function member(key, value)
  return count(key, value, true) and true or false
end
