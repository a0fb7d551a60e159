-- Campaign, version of records and epoch of a fence; nothing of what is none.
local function read_fence(text)
  local uid, version, epoch = string.match(text or '', '^([^/]*)/?(%d*):(%d+)$')
  return uid, tonumber(version) or 1, tonumber(epoch)
end
