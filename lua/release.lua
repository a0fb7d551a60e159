#!lua
-- release: to be written.
return {"todo"}
