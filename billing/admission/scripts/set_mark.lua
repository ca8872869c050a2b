-- This Redis, in this run of it, has been told all that it must know before it admits.
-- KEYS partition's mark
redis.call('SET', KEYS[1], this_run())
