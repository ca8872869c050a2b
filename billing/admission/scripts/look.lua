-- Returns this run of Redis, the partition's mark (empty: none), for how long it has run (s), and
-- its clock (ms).
-- KEYS partition's mark
local _, now_ms = clock()
local uptime = string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)')
return {this_run(), redis.call('GET', KEYS[1]) or '', uptime, whole(now_ms)}
