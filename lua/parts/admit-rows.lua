
-- Counts of other subjects lie in groups: one row per subject, with a place for each counter of the group.
local keys, read, rows = {}, {}, {}  -- group: key up to the bucket; reads a row; subject: row
local touched = {}                   -- group: rows to write
local starts, ends = {}, {}          -- group: its current window

-- Notes that a row was charged.
local function touch(group, row)
  if not row.touched then
    row.touched = true
    local list = touched[group]
    list[#list + 1] = row
  end
end
