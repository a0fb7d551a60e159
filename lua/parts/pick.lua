
-- Chooses between two truth values.
local function pick(condition, yes, no)
  if condition then
    return yes
  end
  return no
end
