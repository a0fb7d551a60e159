#!lua
-- show: keeps the text of the admission script that is in force where an operator can read it:
--       redis-cli --raw hget 'rg:{<campaign>.<shard>}:state' script
--
-- KEYS[1]  state key of the shard
-- ARGV     fence, text
-- Reply    {'fence', fence there or ''}   another revision is in force by now: nothing was done
--          {'ok'}
--
-- Nothing reads it back: scripts are run by their digest.

local fence = redis.call('HGET', KEYS[1], 'fence')
if fence ~= ARGV[1] then
  return {'fence', fence or ''}
end
redis.call('HSET', KEYS[1], 'script', ARGV[2])
return {'ok'}
