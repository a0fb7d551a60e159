
-- Makes a row's bucket where this is its first use. The ballast: see lua/README.md.
local made, BALLAST = {}, '\255' .. string.rep('-', 64)
local function mark(row, ends)
  if not row.there and not made[row.key] then
    made[row.key] = true
    call('HSET', row.key, MARK, '', BALLAST, '')
    call('PEXPIREAT', row.key, whole(max(expires_at, ends)))
  end
end
