#!lua
-- pause: stops admissions, or lets them go on.
--
-- KEYS[1]  state key of the shard
-- ARGV     uid, paused: `<number> on <resume_at>`, where 0 is until somebody resumes it, or `<number> off 0`
-- Reply    {'ok', paused as it is there now}: what was there stays where its number is not lower
--          {'fence', fence there or ''}   the gate is closed, or the state belongs to another campaign's uid
--
-- The epoch is not compared: a pause belongs to the campaign, whatever revision is in force, and an activation leaves
-- it alone. The number rises with every pause and every resume, so one that arrives late undoes none that came after it.

local call = redis.call
local state = KEYS[1]

-- part: fence

local there = call('HMGET', state, 'fence', 'paused')
if not there[1] or read_fence(there[1]) ~= ARGV[1] then
  return {'fence', there[1] or ''}
end
local number = string.match(ARGV[2], '^(%d+) on %d+$') or string.match(ARGV[2], '^(%d+) off 0$')
if not number then
  return redis.error_reply('ERR pause: malformed')
end
local number_there = string.match(there[2] or '', '^%d+') or '0'
if tonumber(number_there) >= tonumber(number) then
  return {'ok', there[2] or ''}
end
call('HSET', state, 'paused', ARGV[2])
return {'ok', ARGV[2]}
