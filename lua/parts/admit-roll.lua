
-- A subject's entries of a rolling counter.
local function roll(counter, subject, key, length)
  local pair = call('HMGET', key, MARK, subject)
  if not pair[1] and lasting[counter] then
    lost = true
  end
  local live = rolled(pair[2], length)
  used[counter][subject] = live
  return live
end

-- Adds this order to a subject's entries; `list` names each subject once.
local function charge_roll(list, counter, live, subject, key, cost)
  if live.orders > 0 then
    live.text = live.text .. ','
  end
  live.text = live.text .. whole(now) .. ':' .. whole(cost)
  live.used = live.used + cost
  live.orders = live.orders + 1
  if not added[counter][subject] then
    added[counter][subject] = live
    local i = #list
    list[i + 1], list[i + 2], list[i + 3] = key, subject, counter
  end
end
