
-- Whether a value is in a bucket of an uploaded list. The bucket is asked once per value.
local asked = {}                   -- bucket: value: whether it is there
local function member(key, value)
  local known = asked[key]
  if not known then
    known = {}
    asked[key] = known
  end
  if known[value] == nil then
    local pair = call('HMGET', key, MARK, value)
    if not pair[1] then
      -- Not kept: whoever asks next has to find out too.
      lost = true
      return false
    end
    known[value] = pair[2] and true or false
  end
  return known[value]
end
