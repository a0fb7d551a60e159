#!lua flags=allow-oom
-- settle: removes acknowledged entries from the outbox.
--
-- KEYS[1]  state key of the shard; the other keys are derived from its prefix
-- ARGV     entry id, number of orders in it, …
-- Reply    {'ok', orders removed}
--
-- An entry counts once, however often it is settled: only the call that removes it adds to `settled`.
-- Needs no fence, because an acknowledged order stays acknowledged under every revision. Runs when memory
-- is short, because it frees some.

local call = redis.call
local state = KEYS[1]
local outbox = string.sub(state, 1, -#'state' - 1) .. 'outbox'

local removed = 0
for i = 1, #ARGV, 2 do
  if call('XDEL', outbox, ARGV[i]) == 1 then
    removed = removed + (tonumber(ARGV[i + 1]) or 0)
  end
end
if removed > 0 then
  call('HINCRBY', state, 'settled', string.format('%.0f', removed))
end
return {'ok', removed}
