-- part: length

-- Payloads that stand in one text, each behind its length; nothing where they do not.
local function apart(text)
  local payloads, behind = {}, 1
  while behind <= #text do
    local length, begin = length_at(text, behind)
    if not length then
      return nil
    end
    behind = begin + length
    payloads[#payloads + 1] = string.sub(text, begin, behind - 1)
  end
  return behind == #text + 1 and payloads or nil
end

-- Answers an entry by its own length, or, where it is none of ours, with revision 0, which nobody was admitted under,
-- and no order: so that it holds up no other.
local function frame(reply, id, fields)
  local payloads = {}
  if fields[7] == 'all' then
    payloads = #fields == 8 and apart(fields[8])
  else
    -- Layouts of before: a field per order.
    for i = 8, #fields, 2 do
      payloads[#payloads + 1] = fields[i]
    end
  end
  local orders, made = string.match(fields[6] or '', '^(%d+) ?(.*)$')
  local ours = payloads and #fields >= 6 and orders == string.format('%.0f', #payloads)
    and (made == '' or #made <= 40 and string.find(made, '^%d+ %d+ %d+$'))
    and #fields[2] <= 9 and string.find(fields[2], '^%d+$')
    and #fields[4] <= 15 and string.find(fields[4], '^%d+$')
  reply[#reply + 1] = id
  reply[#reply + 1] = ours and fields[2] or 0
  reply[#reply + 1] = ours and fields[4] or 0
  reply[#reply + 1] = ours and made or ''
  reply[#reply + 1] = ours and #payloads or 0
  for i = 1, ours and #payloads or 0 do
    reply[#reply + 1] = payloads[i]
  end
end
