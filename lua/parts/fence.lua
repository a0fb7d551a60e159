-- Campaign, version of records and epoch of a fence; nothing of one whose shard is laid out otherwise.
local function read_fence(text)
  local uid, version, epoch = string.match(text or '', '^([^/]*)/(%d+)%.3:(%d+)$')
  return uid, tonumber(version), tonumber(epoch)
end
