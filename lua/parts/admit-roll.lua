
-- Adds an order to the entries of a rolling counter.
local function add(live, cost)
  if live.orders > 0 then
    live.text = live.text .. ','
  end
  live.text = live.text .. moment .. ':' .. whole(cost)
  live.used = live.used + cost
  live.orders = live.orders + 1
end
