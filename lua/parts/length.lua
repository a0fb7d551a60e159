-- How long the payload is whose length begins at `at`, seven bits a byte, the lowest first, and where it begins; nothing where
-- there is no length.
local function length_at(text, at)
  local length, scale = 0, 1
  repeat
    local digit = string.byte(text, at)
    if not digit or scale > 268435456 then
      return nil
    end
    length, scale, at = length + digit % 128 * scale, scale * 128, at + 1
  until digit < 128
  return length, at
end
