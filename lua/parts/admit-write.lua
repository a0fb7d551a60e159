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
  carried[6] = whole(admitted)
  -- Orders that travel together say where they stand among those of their shard.
  local first
  if epoch > 0 then
    first = whole((tonumber(there[3]) or 0) + 1)
    carried[6] = carried[6] .. ' ' .. sub(ARGV[1], epoch) .. ' ' .. evaluator .. ' ' .. first
  end
  local entry = call('XADD', prefix .. 'outbox', 'NOMKSTREAM', '*', unpack(carried))
  -- The stream is there from the start: without it entries were lost, and nothing was written yet.
  if not entry then
    return {'fence', ''}
  end
  reply[3] = first and entry .. ' ' .. first or entry

