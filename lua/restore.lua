#!lua
-- restore: to be written.
return {"todo"}
