#!lua flags=allow-oom
-- pulse: what the gateways of one server tell each other about once a second, however many campaigns there are.
--
-- KEYS[1]  the key of the pulse: a hash of its own that belongs to no campaign
-- ARGV     a mark for a memory that has none, how long a campaign counts as ordered from (milliseconds),
--          then per campaign that orders came for: its id
-- Reply    {'ok', mark, now, per campaign that any gateway had orders for within that time: its id}
--
-- The mark is as old as the server's memory: whoever finds another one than before knows that everything may be gone.
-- Runs when memory is short, because orders that wait in an outbox are found through it.

local call = redis.call
local key, window = KEYS[1], tonumber(ARGV[2])

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 3, #ARGV do
  call('HSET', key, 'on:' .. ARGV[i], string.format('%.0f', now))
end
local mark = call('HGET', key, 'mark')
if not mark then
  mark = ARGV[1]
  call('HSET', key, 'mark', mark)
end

local reply = {'ok', mark, string.format('%.0f', now)}
local fields = call('HGETALL', key)
for i = 1, #fields, 2 do
  local campaign = string.match(fields[i], '^on:(.*)$')
  if campaign and now - fields[i + 1] > window then
    call('HDEL', key, fields[i])
  elseif campaign then
    reply[#reply + 1] = campaign
  end
end
return reply
