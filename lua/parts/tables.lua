
-- Large tables are built when first needed.
local build, built = {}, {}
local function entries(i)
  local entries = built[i]
  if not entries then
    entries = build[i]()
    built[i] = entries
  end
  return entries
end
