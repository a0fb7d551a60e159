#!lua
-- lookup: to be written.
return {"todo"}
