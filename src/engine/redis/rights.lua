#!lua
-- rights: tries every command that the other scripts call, on keys of its own, and leaves none of them behind.
--
-- KEYS[1]  a key that nobody else has; the other keys are derived from it
-- Reply    {(command, error) × n} of the commands that were refused

local refused = {}

local function try(...)
  local name = ...
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    refused[#refused + 1] = name
    refused[#refused + 1] = reply.err
    return false
  end
  return true
end

local text, map, log = KEYS[1] .. ':text', KEYS[1] .. ':map', KEYS[1] .. ':log'
local deletes = try('DEL', text)
local unlinks = try('UNLINK', text)
-- Without either, what is written would stay.
if not deletes and not unlinks then
  return refused
end

try('TIME')
try('SET', text, '1', 'PX', '60000')
try('EXISTS', text)
try('GET', text)
try('PEXPIRE', text, '60000')
try('PEXPIREAT', text, '9007199254740991')
try('HSET', map, 'field', '1')
try('HINCRBY', map, 'field', '1')
try('HGET', map, 'field')
try('HMGET', map, 'field')
try('HGETALL', map)
try('HDEL', map, 'other')
try('XADD', log, '1-1', 'field', '1')
try('XLEN', log)
try('XRANGE', log, '-', '+', 'COUNT', '1')
try('XDEL', log, '9-9')
redis.call(deletes and 'DEL' or 'UNLINK', text, map, log)
return refused
