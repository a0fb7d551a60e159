  if code ~= 0 then
    reply[size + 1], reply[size + 2], reply[size + 3] = i, code, detail
    size = size + 3
  end
  at = at + fields
end
if lost then
  return {'fence', ''}
end

-- Write everything. The outbox entry comes first: what it carries can be undone or restored, the rest cannot.
if admitted > 0 then
  reply[4] = admitted
  local carried, orders = ARGV[3], whole(admitted)
  if admitted < attempts then
    -- Who was not admitted is left out.
    local kept, from, behind, refused = {}, 1, 1, 5
    for i = 1, attempts do
      local length, begin = length_at(carried, behind)
      if reply[refused] == i then
        kept[#kept + 1] = sub(carried, from, behind - 1)
        from, refused = begin + length, refused + 3
      end
      behind = begin + length
    end
    kept[#kept + 1] = sub(carried, from)
    carried = table.concat(kept)
  end
  -- Orders that travel together say where they stand among those of their shard.
  local first
  if epoch > 0 then
    first = whole((tonumber(there[3]) or 0) + 1)
    orders = orders .. ' ' .. sub(ARGV[1], epoch) .. ' ' .. evaluator .. ' ' .. first
  end
  local entry = call('XADD', prefix .. 'outbox', 'NOMKSTREAM', '*',
    'rev', revision, 'at', moment, 'n', orders, 'all', carried)
  -- The stream is there from the start: without it entries were lost, and nothing was written yet.
  if not entry then
    return {'fence', ''}
  end
  reply[3] = first and entry .. ' ' .. first or entry

