#!lua
-- outbox: to be written.
return {"todo"}
