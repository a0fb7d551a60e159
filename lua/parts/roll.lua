
-- What of a rolling counter's entries still counts: units, orders, and the entries as text.
local function rolled(text, length)
  local live = {used = 0, orders = 0, text = ''}
  local kept = {}
  for entry, moment, cost in string.gmatch(text or '', '((%d+):(%d+))') do
    if tonumber(moment) > now - length then
      live.used = live.used + cost
      live.orders = live.orders + 1
      kept[live.orders] = entry
    end
  end
  live.text = table.concat(kept, ',')
  return live
end
