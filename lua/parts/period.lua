
-- Start of the period `now` falls into and of the next one (0: none), from sorted starts.
local function period(starts)
  local low, high = 1, #starts
  while low < high do
    local middle = floor((low + high + 1) / 2)
    if starts[middle] <= now then
      low = middle
    else
      high = middle - 1
    end
  end
  return starts[low], starts[low + 1] or 0
end
