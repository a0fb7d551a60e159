local ARGV, call = ARGV, redis.call
local floor, format, max, min = math.floor, string.format, math.max, math.min
local state = KEYS[1]
local prefix = string.sub(state, 1, -#'state' - 1)

-- Another fence: another revision decides here, or the state is gone. Nothing is done then.
local there = call('HMGET', state, 'fence', 'expires_at', 'admitted')
local expires_at = tonumber(there[2])
if there[1] ~= ARGV[1] or not expires_at then
  return {'fence', there[1] or ''}
end

local time = call('TIME')
local now = time[1] * 1000 + floor(time[2] / 1000)

-- Integers as text: Lua would write large ones as 1e+15.
local texts = {}
local function whole(n)
  local text = texts[n]
  if not text then
    text = format('%.0f', n)
    texts[n] = text
  end
  return text
end
