#!lua flags=no-writes
-- lookup: finds orders by id.
--
-- KEYS[1]  state key of the shard; the other keys are derived from its prefix
-- ARGV     (bucket of the user, order id), …
-- Reply    {'ok', fence or '' when state is missing, per pair: record or '', 1 when its entry is in the outbox else 0}

local call = redis.call
local prefix = string.sub(KEYS[1], 1, -#'state' - 1)
local outbox = prefix .. 'outbox'

local reply = {'ok', call('HGET', KEYS[1], 'fence') or ''}
for i = 1, #ARGV, 2 do
  local home = prefix .. 'buyers:' .. ARGV[i]
  local record = call('HGET', home, ARGV[i + 1]) or ''
  -- A bucket without its mark was lost: that an order is not in it says nothing.
  if record == '' and not call('HGET', home, '\255') then
    reply[2] = ''
  end
  local entry, moment = string.match(record, '^%a (%d*%-%d+) %d+ (%d+) ')
  -- One of the millisecond of the decision is written as its number alone.
  if entry and string.sub(entry, 1, 1) == '-' then
    entry = moment .. entry
  end
  local pending = 0
  if entry and #call('XRANGE', outbox, entry, entry) > 0 then
    pending = 1
  end
  reply[#reply + 1] = record
  reply[#reply + 1] = pending
end
return reply
