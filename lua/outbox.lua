#!lua flags=allow-oom
-- outbox: reads old outbox entries under a lease, so that one gateway relays at a time.
--
-- KEYS[1]  state key of the shard; the other keys are derived from its prefix
-- ARGV     owner, lease in milliseconds, entries must be at least so many milliseconds old,
--          start id (exclusive) or '-', most entries
-- Reply    {'held'}   another owner has the lease
--          {'ok', per entry: id, revision, moment of the decision, how it travels or '', k, payload × k;
--           revision, moment and k are 0 where its fields are not those of an entry}
--
-- Runs when memory is short, because the entries it reads are what settle then removes.
-- An entry's fields: see README.md.

local call = redis.call
local prefix = string.sub(KEYS[1], 1, -#'state' - 1)
local lease, owner = prefix .. 'relay', ARGV[1]

if not call('SET', lease, owner, 'NX', 'PX', ARGV[2]) then
  if call('GET', lease) ~= owner then
    return {'held'}
  end
  call('PEXPIRE', lease, ARGV[2])
end

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local newest = string.format('%.0f', math.max(0, now - ARGV[3]))
local start = ARGV[4]
if start ~= '-' then
  start = '(' .. start
end

-- part: frame

local reply = {'ok'}
for _, entry in ipairs(call('XRANGE', prefix .. 'outbox', start, newest, 'COUNT', ARGV[5])) do
  frame(reply, entry[1], entry[2])
end
return reply
