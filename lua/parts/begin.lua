local ARGV, call = ARGV, redis.call
local floor, format, max, min, sub = math.floor, string.format, math.max, math.min, string.sub
local state = KEYS[1]
local prefix = sub(state, 1, -#'state' - 1)

-- Another fence: another revision decides here, or the state is gone. Nothing is done then.
local there = call('HMGET', state, 'fence', 'expires_at', 'admitted', 'paused')
local expires_at = tonumber(there[2])
if there[1] ~= ARGV[1] or not expires_at then
  return {'fence', there[1] or ''}
end

local time = call('TIME')
local moment = time[1] .. sub('00000' .. time[2], -6, -4)  -- in milliseconds
local now = tonumber(moment)

-- Is the sale paused? Until this moment, or '0': until somebody lets it go on.
local paused = there[4] and string.match(there[4], ' on (%d+)$')
if paused and paused ~= '0' and now >= tonumber(paused) then
  paused = nil
end

-- Integers as text: Lua would write large ones as 1e+15. `%d` costs a fifth, and may have 32 bits.
local texts = {}
local function whole(n)
  local text = texts[n]
  if not text then
    text = format(n < 2147483648 and n > -2147483648 and '%d' or '%.0f', n)
    texts[n] = text
  end
  return text
end
