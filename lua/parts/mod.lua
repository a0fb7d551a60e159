
-- The remainder, never negative, also where n % divisor would leave the exact integers.
local function mod(n, divisor)
  local rest = math.fmod(n, divisor)
  if rest < 0 then
    rest = rest + divisor
  end
  return rest
end
