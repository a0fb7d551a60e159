#!lua
-- settle: to be written.
return {"todo"}
