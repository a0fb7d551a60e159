  at = at + fields
end
if lost then
  return {'fence', ''}
end

-- Writes the counts of a list; makes the buckets that are first used here.
local function write(list)
  local made = {}
  for i = 1, #list, 3 do
    local key, subject, counter = list[i], list[i + 1], list[i + 2]
    local change = added[counter][subject]
    if type(change) == 'table' then
      call('HSET', key, subject, change.text)
    else
      call('HINCRBY', key, subject, whole(change))
    end
    if not lasting[counter] and not made[key] then
      made[key] = true
      if call('HSET', key, MARK, '', BALLAST, '') > 0 then
        call('PEXPIREAT', key, whole(max(expires_at, ends[counter])))
      end
    end
  end
end

-- Write everything. The outbox entry comes first: what it carries can be undone or restored, the rest cannot.
if admitted > 0 then
  local carried = {'rev', revision, 'at', moment, 'n', admitted}
  for i = 1, admitted do
    carried[2 * i + 5] = 'o'
    carried[2 * i + 6] = ARGV[taken[i] + 5]
  end
  local entry = call('XADD', prefix .. 'outbox', '*', unpack(carried))
  reply[3] = entry

  local head = 'a ' .. entry .. ' ' .. revision .. ' ' .. moment .. ' '
  for i = 1, admitted do
    local at = taken[i]
    call('HSET', homes[i], ARGV[at], head .. ARGV[at + 4])
  end
  for at, tail in pairs(repeats) do
    reply[2 * (at - 3) / fields + 5] = head .. tail
  end
  write(charged)
  for sku, quantity in pairs(sold) do
    call('HINCRBY', prefix .. 'stock', sku, whole(-quantity))
  end
  call('HINCRBY', state, 'admitted', admitted)
end
