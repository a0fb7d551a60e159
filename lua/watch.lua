#!lua
-- watch: to be written.
return {"todo"}
