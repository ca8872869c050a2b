-- A call has failed: its Idempotency-Key is free again.
-- KEYS record
-- ARGV request id
local owner = redis.call('HMGET', KEYS[1], 'state', 'request_id')
if owner[1] == 'running' and owner[2] == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
