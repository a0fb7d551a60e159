-- host: the sandbox a script runs in. Loaded once; gets `raw`, which runs a command (a table of words
-- and their number) and answers its reply, an error reply being a table with `err`. Answers the
-- function that runs a compiled script.

local raw = ...
local pcall, type, tostring, error, select = pcall, type, tostring, error, select

local redis = {}

function redis.pcall(...)
  return raw({...}, select('#', ...))
end

function redis.call(...)
  local reply = raw({...}, select('#', ...))
  if type(reply) == 'table' and reply.err then
    error(reply, 0)
  end
  return reply
end

function redis.error_reply(text)
  return {err = text}
end

function redis.status_reply(text)
  return {ok = text}
end

-- What a script may use: less than Redis offers, never more.
local allowed = {
  _G = true, _VERSION = true, assert = true, error = true, getmetatable = true, ipairs = true, math = true,
  next = true, pairs = true, pcall = true, rawequal = true, rawget = true, select = true,
  setmetatable = true, string = true, table = true, tonumber = true, tostring = true, type = true,
  unpack = true, xpcall = true,
}
for name in pairs(_G) do
  if not allowed[name] then
    _G[name] = nil
  end
end
math.random, math.randomseed, string.dump = nil, nil, nil
_G.redis = redis

setmetatable(_G, {
  __index = function(_, name)
    error('Script attempted to access nonexistent global variable ' .. tostring(name), 2)
  end,
  __newindex = function(_, name)
    error('Attempt to modify a readonly table: global variable ' .. tostring(name), 2)
  end,
  __metatable = false,
})

return function(script)
  local ok, reply = pcall(script)
  if ok then
    return true, reply
  end
  if type(reply) == 'table' then
    return false, tostring(reply.err)
  end
  return false, tostring(reply)
end
