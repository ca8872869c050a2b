-- A live call's hold goes on, with its progress. A hold that Redis has lost is made again:
-- the call runs, so its money must stay held.
-- KEYS gate, hold, partition's holds by expiry, done marker
-- ARGV request id, tenant code, amount, time to live (ms), cost so far, event so far
-- Returns 1, or 0 when the call has been captured already (its hold was taken for dead).
local gate, hold, holds, done = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('EXISTS', hold) == 0 then
    if redis.call('EXISTS', done) == 1 then
        return 0
    end
    redis.call('HINCRBY', gate, 'held', ARGV[3])
    redis.call('HSET', hold, 'tenant', ARGV[2], 'amount', ARGV[3],
               'since', string.format('%.0f', now_ms))
end
redis.call('HSET', hold, 'cost', ARGV[5], 'event', ARGV[6])
redis.call('ZADD', holds, string.format('%.0f', now_ms + tonumber(ARGV[4])), ARGV[1])
return 1
