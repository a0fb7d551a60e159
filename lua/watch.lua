#!lua
-- watch: adds a gateway's rejection figures and reads the shard's state.
--
-- KEYS[1]  state key of the shard; the other keys are derived from its prefix
-- ARGV     (reason, count), …   added to `figures`, where there is a state
-- Reply    {'ok', fence or '', revision, opens_at, closes_at, reopened, admitted, settled, run, paused,
--           entries in the outbox or '' where there is none, moment of the oldest or 0, now, k, (sku, units left) × k, (reason, count) × …}
--          A field that was never written is the empty text.

local call = redis.call
local state = KEYS[1]
local prefix = string.sub(state, 1, -#'state' - 1)
local figures = prefix .. 'figures'

local fields = call('HMGET', state, 'fence', 'revision', 'opens_at', 'closes_at', 'reopened', 'admitted',
  'settled', 'run', 'paused', 'expires_at')
-- Without a state nobody knows when they may go: what is counted then is dropped, and nothing stays for ever.
if #ARGV > 0 and fields[10] then
  for i = 1, #ARGV, 2 do
    call('HINCRBY', figures, ARGV[i], ARGV[i + 1])
  end
  call('PEXPIREAT', figures, fields[10])
end

local reply = {'ok'}
for i = 1, 9 do
  reply[i + 1] = fields[i] or ''
end
local time = call('TIME')
local stock = call('HGETALL', prefix .. 'stock')
local outbox = prefix .. 'outbox'
reply[11] = call('EXISTS', outbox) == 1 and call('XLEN', outbox) or ''
local oldest = call('XRANGE', outbox, '-', '+', 'COUNT', 1)[1]
reply[12] = oldest and string.match(oldest[1], '^%d+') or 0
reply[13] = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
reply[14] = #stock / 2
for _, list in ipairs({stock, call('HGETALL', figures)}) do
  for i = 1, #list do
    reply[#reply + 1] = list[i]
  end
end
return reply
