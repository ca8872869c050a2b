-- The hold of a dead process: captured for what it had delivered when it last renewed.
-- KEYS gate, hold, partition's holds by expiry, done marker, outbox
-- ARGV request id, memory of the marker (s)
-- Returns 1, or 0 when the hold was renewed or ended meanwhile.

-- "-0" is no number to Redis.
local function give_back(key, field, amount)
    if amount ~= '0' then
        redis.call('HINCRBY', key, field, '-' .. amount)
    end
end

local gate, hold, holds, done, outbox = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local expires_ms = redis.call('ZSCORE', holds, ARGV[1])
if not expires_ms or tonumber(expires_ms) > now_ms then
    return 0
end
redis.call('ZREM', holds, ARGV[1])
local fields = redis.call('HMGET', hold, 'tenant', 'amount', 'cost', 'event')
if not fields[2] then
    return 0
end
give_back(gate, 'held', fields[2])
redis.call('DEL', hold)
if redis.call('EXISTS', done) == 0 then
    redis.call('HINCRBY', gate, 'unsettled', fields[3])
    redis.call('XADD', outbox, '*', 'tenant', fields[1], 'cost', fields[3], 'event', fields[4])
    redis.call('SET', done, fields[3], 'EX', ARGV[2])
end
return 1
