
-- Lets the shadow decide an attempt that got this code, and counts the pair. Its faults stay its own.
local met = {}                     -- code * 1000 + code of the shadow: attempts
local function compare(at, code, item, quantity)
  if code == 1 or code == 4 or code == 998 then
    return
  end
  local before, remaining = lost, stock[item]
  if code == 0 then
    remaining = remaining + quantity
  end
  local fine, other = pcall(shadow, at, quantity, ARGV[3 + item], remaining)
  if not fine or lost ~= before then
    other = 9
  end
  lost = before
  local pair = code * 1000 + other
  met[pair] = (met[pair] or 0) + 1
end
