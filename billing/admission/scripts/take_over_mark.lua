-- The partition was moved here from a run that had been told all.
-- KEYS partition's mark
-- ARGV that run
-- Returns 1 if this one has been told all now.
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('SET', KEYS[1], this_run())
end
return redis.call('GET', KEYS[1]) == this_run() and 1 or 0
