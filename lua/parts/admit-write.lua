  at = at + fields
end
if lost then
  return {'fence', ''}
end

-- Write everything. The outbox entry comes first: what it carries can be undone or restored, the rest cannot.
if admitted > 0 then
  local carried = {'rev', revision, 'at', moment, 'n', admitted}
  -- Orders that travel together say where they stand among those of their shard.
  local first
  if packed then
    first = whole((tonumber(there[3]) or 0) + 1)
    carried[6] = admitted .. ' ' .. packed .. ' ' .. evaluator .. ' ' .. first
  end
  for i = 1, admitted do
    carried[2 * i + 5] = 'o'
    carried[2 * i + 6] = ARGV[taken[i] + 5]
  end
  local entry = call('XADD', prefix .. 'outbox', 'NOMKSTREAM', '*', unpack(carried))
  -- The stream is there from the start: without it entries were lost, and nothing was written yet.
  if not entry then
    return {'fence', ''}
  end
  reply[3] = first and entry .. ' ' .. first or entry

  local head = 'a ' .. entry .. ' ' .. revision .. ' ' .. moment .. ' '
  for i = 1, admitted do
    local at = taken[i]
    call('HSET', homes[i], ARGV[at], head .. ARGV[at + 4])
  end
  for at, tail in pairs(repeats) do
    reply[2 * (at - 3) / fields + 5] = head .. tail
  end
