
-- A rolling counter of a buyer, computed when first asked for.
local function live(values, place, length)
  local entries = values[place]
  if type(entries) ~= 'table' then
    entries = rolled(entries, length)
    values[place] = entries
  end
  return entries
end
