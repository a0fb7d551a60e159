#!lua
-- restore: rebuilds a shard from the database, step by step, behind a closed gate.
--
-- KEYS[1]  state key of the shard; the other keys are derived from its prefix
-- ARGV     step, token, …
--   begin   uid, expires_at          closes the gate: removes `state.fence`, `state.run` and `stock`, sets
--                                    `state.rebuilding` to the token; takes over from another token
--   drop    key after the prefix, …  removes keys
--   order   bucket of the user, order id, record, …
--   charge  kind (`counter` or `rolling`), key after the prefix, field, cost, moment, end of the window
--           (0 where it has none), …
--                                    what `order` and `charge` write expires as it would have where the order was
--                                    admitted: with the campaign or at the end of its window, whichever is later
--   make    expires_at, family (key up to the bucket, after the prefix), first bucket, last bucket
--                                    makes these buckets and gives them their expiry
--   finish  fence, revision, opens_at, closes_at, expires_at, run, paused, number of the last change of the stock that the
--           units include, units that it took off, k, (sku, units left) × k,
--           then per family of buckets: its key up to the bucket (after the prefix), number of buckets to make
--                                    (0 where `make` made them)
--                                    (`paused` is what the database says: see `pause`; '' where nobody ever paused)
--                                    writes the stock, makes the buckets, and writes `state` last:
--                                    the gate is open, for the server that `run` names
--   remove  fence, expires_at        removes all keys that are the same for every plan, and leaves a state with this fence, of
--                                    an epoch that was never activated: whoever comes with an older one finds out that the
--                                    campaign is gone. It is nobody's: any uid may begin there
-- Reply    {'ok'}
--          {'lost'}   another token is rebuilding, or the state belongs to another campaign's uid
--
-- `charge` adds, so a call whose outcome is unknown must not be repeated: begin again instead.

local call = redis.call
local state = KEYS[1]
local prefix = string.sub(state, 1, -#'state' - 1)
local step, token = ARGV[1], ARGV[2]

-- The marks of a bucket: see README.md.
local MARK, BALLAST = '\255', '\255' .. string.rep('-', 64)

-- What `run` says of a campaign that is gone: no server is called so.
local REMOVED = 'removed'

-- part: fence

local steps = {}

function steps.begin()
  local fence = call('HGET', state, 'fence')
  -- One of an older layout says it, or none, and no version where it is 1. What it stands for is made anew.
  local older = fence and (string.match(fence, '^([^/]*)/?%d*:%d+$') or string.match(fence, '^([^/]*)/%d+%.2:%d+$'))
  local removed = call('HGET', state, 'run') == REMOVED
  if fence and not removed and (older or read_fence(fence)) ~= ARGV[3] then
    return {'lost'}
  end
  call('HSET', state, 'rebuilding', token, 'expires_at', ARGV[4])
  call('PEXPIREAT', state, ARGV[4])
  call('HDEL', state, 'fence', 'run', 'made:orders:')
  call('DEL', prefix .. 'stock')
  return {'ok'}
end

function steps.drop()
  for i = 3, #ARGV do
    call('UNLINK', prefix .. ARGV[i])
  end
  return {'ok'}
end

function steps.order()
  local expires_at, touched = call('HGET', state, 'expires_at'), {}
  for i = 3, #ARGV, 3 do
    local key = prefix .. 'buyers:' .. ARGV[i]
    call('HSET', key, ARGV[i + 1], ARGV[i + 2])
    if not touched[key] then
      touched[key] = true
      call('PEXPIREAT', key, expires_at)
    end
  end
  return {'ok'}
end

function steps.charge()
  local expires_at, touched = call('HGET', state, 'expires_at'), {}
  for i = 3, #ARGV, 6 do
    local key, subject, cost, moment = prefix .. ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
    if ARGV[i] == 'rolling' then
      local there = call('HGET', key, subject)
      local entry = moment .. ':' .. cost
      if there and there ~= '' then
        entry = there .. ',' .. entry
      end
      call('HSET', key, subject, entry)
    else
      call('HINCRBY', key, subject, cost)
    end
    if not touched[key] then
      touched[key] = true
      local ends = ARGV[i + 5]
      call('PEXPIREAT', key, tonumber(ends) > tonumber(expires_at) and ends or expires_at)
    end
  end
  return {'ok'}
end

local function make(family, first, last, expires_at)
  for bucket = first, last do
    local key = prefix .. family .. string.format('%.0f', bucket)
    call('HSET', key, MARK, '', BALLAST, '')
    call('PEXPIREAT', key, expires_at)
  end
end

function steps.make()
  make(ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[3])
  return {'ok'}
end

function steps.finish()
  local fence, revision, opens_at, closes_at, expires_at = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
  local stock, outbox = prefix .. 'stock', prefix .. 'outbox'
  local families_from = 13 + 2 * tonumber(ARGV[12])
  for i = 13, families_from - 1, 2 do
    call('HSET', stock, ARGV[i], ARGV[i + 1])
  end
  call('PEXPIREAT', stock, expires_at)
  for i = families_from, #ARGV, 2 do
    make(ARGV[i], 0, ARGV[i + 1] - 1, expires_at)
    call('HSET', state, 'made:' .. ARGV[i], expires_at)
  end
  -- A stream cannot be made empty: make an entry and take it out again.
  if call('EXISTS', outbox) == 0 then
    call('XDEL', outbox, call('XADD', outbox, '*', 'rev', revision))
  end
  call('PEXPIREAT', outbox, expires_at)
  call('PEXPIREAT', prefix .. 'figures', expires_at)
  call('HINCRBY', state, 'reopened', 1)
  call('HDEL', state, 'rebuilding')
  if ARGV[9] == '' then
    call('HDEL', state, 'paused')
  else
    call('HSET', state, 'paused', ARGV[9])
  end
  call('HSET', state, 'revision', revision, 'opens_at', opens_at, 'closes_at', closes_at,
    'expires_at', expires_at, 'run', ARGV[8], 'stock_change', ARGV[10], 'stock_taken', ARGV[11], 'fence', fence)
  call('PEXPIREAT', state, expires_at)
  return {'ok'}
end

function steps.remove()
  for _, name in ipairs({'stock', 'outbox', 'figures', 'relay', 'state'}) do
    call('UNLINK', prefix .. name)
  end
  call('HSET', state, 'fence', ARGV[3], 'run', REMOVED)
  call('PEXPIREAT', state, ARGV[4])
  return {'ok'}
end

if not steps[step] then
  return redis.error_reply('ERR restore: unknown step')
end
if step ~= 'begin' and call('HGET', state, 'rebuilding') ~= token then
  return {'lost'}
end
return steps[step]()
