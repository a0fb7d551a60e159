
-- Decide everything.
local moment = whole(now)
local reply = {'ok', moment, ''}
local at = 3
for i = 1, attempts do
  local code, detail = decide(at)
  reply[2 * i + 2], reply[2 * i + 3] = code, detail
