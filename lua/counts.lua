#!lua flags=no-writes
-- counts: fields of buckets.
--
-- KEYS[1]  state key of the shard; the other keys are derived from its prefix
-- ARGV     (key after the prefix, field), …
-- Reply    {'ok', fence or '', value or '' per pair}

local call = redis.call
local prefix = string.sub(KEYS[1], 1, -#'state' - 1)

local reply = {'ok', call('HGET', KEYS[1], 'fence') or ''}
for i = 1, #ARGV, 2 do
  reply[#reply + 1] = call('HGET', prefix .. ARGV[i], ARGV[i + 1]) or ''
end
return reply
