
-- What of a rolling counter's entries still counts: units, orders, and the entries as text.
local function rolled(text, length)
  local live = {used = 0, orders = 0, text = text or ''}
  if live.text == '' then
    return live
  end
  local kept, all = {}, 0
  for entry, moment, cost in string.gmatch(text, '((%d+):(%d+))') do
    all = all + 1
    if tonumber(moment) > now - length then
      live.used = live.used + cost
      live.orders = live.orders + 1
      kept[live.orders] = entry
    end
  end
  if live.orders < all then
    live.text = table.concat(kept, ',')
  end
  return live
end
