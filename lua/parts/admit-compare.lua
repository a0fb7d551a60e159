
-- Lets the shadow decide an attempt that got this code, and counts the pair. Its faults stay its own.
local met = {}                     -- code * 1000 + code of the shadow: attempts
local function compare(at, code)
  if code == 1 or code == 4 then
    return
  end
  local quantity, sku, before = tonumber(ARGV[at + 2]), ARGV[at + 3], lost
  local remaining = stock[sku]
  if code == 0 then
    remaining = remaining + quantity
  end
  local fine, other = pcall(shadow, at, quantity, sku, remaining)
  if not fine then
    other = 9
  end
  lost = before
  local pair = code * 1000 + other
  met[pair] = (met[pair] or 0) + 1
end
