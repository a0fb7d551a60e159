#!lua flags=no-writes
-- buckets: everything in a few buckets, without their marks.
--
-- KEYS[1]  state key of the shard; the other keys are derived from its prefix
-- ARGV     key after the prefix, …
-- Reply    {'ok', fence or '', per key: 1 when it has its mark else 0, k, (field, value) × k}

local call = redis.call
local prefix = string.sub(KEYS[1], 1, -#'state' - 1)

local reply = {'ok', call('HGET', KEYS[1], 'fence') or ''}
for i = 1, #ARGV do
  local all = call('HGETALL', prefix .. ARGV[i])
  local marked, count = 0, #reply + 2
  reply[count - 1], reply[count] = 0, 0
  for j = 1, #all, 2 do
    if string.byte(all[j]) == 255 then
      marked = 1
    else
      reply[#reply + 1] = all[j]
      reply[#reply + 1] = all[j + 1]
    end
  end
  reply[count - 1], reply[count] = marked, (#reply - count) / 2
end
return reply
