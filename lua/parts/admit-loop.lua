
-- Decide everything, in the order of arrival. Who is admitted is not named.
local reply, size = {'ok', moment, '', 0}, 4
for i = 1, attempts do
  local bucket, order, counts, item, quantity
  if wide == 0 then
    bucket, order, counts, item, quantity = byte(facts, place, place + 4)
    place = place + 5
  else
    local a, b, c, d, e, f, g, h, q, r, s, t = byte(facts, place, place + 11)
    bucket, order, counts, item = a * 256 + b, c * 256 + d, e * 256 + f, g * 256 + h
    quantity = ((q * 256 + r) * 256 + s) * 256 + t
    place = place + 12
  end
