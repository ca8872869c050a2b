-- The hold of a dead process: captured for what it had delivered when it last renewed.
-- KEYS gate, hold, partition's holds by expiry, done marker, outbox, key's spend,
--      windows of the tenant, of the key, of the key at the model
-- ARGV request id, memory of the marker (s)
-- Returns 1, or 0 when the hold was renewed or ended meanwhile, or was for no call (reserve.lua).
local gate, hold, holds, done, outbox, spend = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local _, now_ms = clock()
local expires_ms = redis.call('ZSCORE', holds, ARGV[1])
if not expires_ms or tonumber(expires_ms) > now_ms then
    return 0
end
redis.call('ZREM', holds, ARGV[1])
local fields = redis.call('HMGET', hold, 'tenant', 'cost', 'event', 'returns')
if fields[4] then
    give_back(gate, 'held', redis.call('HGET', hold, 'amount'))
    redis.call('DEL', hold)
    return 0
end
-- What it used is not known for sure: its tokens stay counted as they were.
if not end_hold(hold, holds, ARGV[1], gate, spend, {KEYS[7], KEYS[8], KEYS[9]}, nil) then
    return 0
end
if redis.call('EXISTS', done) == 0 then
    owe(gate, spend, outbox, done, fields[1], fields[2], fields[3], ARGV[2])
end
return 1
