#!lua flags=no-writes
-- lookup: finds orders by id.
--
-- KEYS[1]  state key of the shard; the other keys are derived from its prefix
-- ARGV     (bucket, order id), …
-- Reply    {'ok', per pair: record or '', 1 when its entry is in the outbox else 0}

local call = redis.call
local prefix = string.sub(KEYS[1], 1, -#'state' - 1)
local outbox = prefix .. 'outbox'

local reply = {'ok'}
for i = 1, #ARGV, 2 do
  local record = call('HGET', prefix .. 'orders:' .. ARGV[i], ARGV[i + 1]) or ''
  local entry = string.match(record, '^%a (%d+%-%d+) ')
  local pending = 0
  if entry and #call('XRANGE', outbox, entry, entry) > 0 then
    pending = 1
  end
  reply[#reply + 1] = record
  reply[#reply + 1] = pending
end
return reply
