#!lua flags=no-writes
-- ledger: what a shard holds at one moment, to be held against the database.
--
-- KEYS[1]  state key of the shard; the other keys are derived from its prefix
-- ARGV     most orders of the outbox to answer
-- Reply    {'ok', fence or '' when state is missing, now, expires_at, reopened, admitted,
--           k, (sku, units left) × k,
--           then, unless more orders than ARGV[1] wait: 1, per entry of the outbox: id, revision, moment of the
--           decision, how it travels, k, payload × k (as `outbox` answers it); otherwise 0}
--
-- An order admitted until now is in the outbox of this answer, or Kafka has acknowledged it.

local call = redis.call
local state = KEYS[1]
local prefix = string.sub(state, 1, -#'state' - 1)
local most = tonumber(ARGV[1])

local fields = call('HMGET', state, 'fence', 'expires_at', 'reopened', 'admitted')
local time = call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local stock = call('HGETALL', prefix .. 'stock')
local reply = {'ok', fields[1] or '', now, fields[2] or '', fields[3] or '', fields[4] or '', #stock / 2}
for i = 1, #stock do
  reply[#reply + 1] = stock[i]
end

-- part: frame

-- An entry holds an order at least. One that says how many says no more than it has bytes.
local function orders(fields)
  if fields[7] == 'all' then
    return math.max(math.min(tonumber(string.match(fields[6], '^%d+')) or 1, #fields[8]), 1)
  end
  return math.max(#fields - 6, 2) / 2
end

local entries = call('XRANGE', prefix .. 'outbox', '-', '+', 'COUNT', string.format('%.0f', most + 1))
local waiting = 0
for _, entry in ipairs(entries) do
  waiting = waiting + orders(entry[2])
end
if waiting > most then
  reply[#reply + 1] = 0
  return reply
end
reply[#reply + 1] = 1
for _, entry in ipairs(entries) do
  frame(reply, entry[1], entry[2])
end
return reply
