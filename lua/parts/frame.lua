-- Answers an entry by its own length, or, where it is none of ours, with revision 0, which nobody was admitted under,
-- and no order: so that it holds up no other.
local function frame(reply, id, fields)
  local n = math.max(#fields - 6, 0) / 2
  local orders, made = string.match(fields[6] or '', '^(%d+) ?(.*)$')
  local ours = #fields >= 6 and orders == string.format('%.0f', n)
    and (made == '' or #made <= 40 and string.find(made, '^%d+ %d+ %d+$'))
    and #fields[2] <= 9 and string.find(fields[2], '^%d+$')
    and #fields[4] <= 15 and string.find(fields[4], '^%d+$')
  reply[#reply + 1] = id
  reply[#reply + 1] = ours and fields[2] or 0
  reply[#reply + 1] = ours and fields[4] or 0
  reply[#reply + 1] = ours and made or ''
  reply[#reply + 1] = ours and n or 0
  for i = 8, ours and #fields or 0, 2 do
    reply[#reply + 1] = fields[i]
  end
end
