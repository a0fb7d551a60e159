#!lua
-- activate: to be written.
return {"todo"}
