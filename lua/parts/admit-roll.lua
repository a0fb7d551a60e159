
-- A subject's entries of a rolling counter.
local function roll(counter, subject, key, length)
  local pair = call('HMGET', key, MARK, subject)
  if not pair[1] then
    lost = true
  end
  local live = rolled(pair[2], length)
  used[counter][subject] = live
  return live
end

-- Adds this order to a subject's entries.
local function charge_roll(counter, live, subject, key, cost)
  if live.orders > 0 then
    live.text = live.text .. ','
  end
  live.text = live.text .. whole(now) .. ':' .. whole(cost)
  live.used = live.used + cost
  live.orders = live.orders + 1
  if not added[counter][subject] then
    added[counter][subject] = live
    local i = #charged
    charged[i + 1], charged[i + 2], charged[i + 3] = key, subject, counter
  end
end
