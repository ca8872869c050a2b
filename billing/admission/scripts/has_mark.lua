-- Whether this Redis has been told all, in this run of it.
-- KEYS partition's mark
return redis.call('GET', KEYS[1]) == this_run() and 1 or 0
