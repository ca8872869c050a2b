-- A live call's hold goes on, with its progress. A hold that Redis has lost is made again:
-- the call runs, so its money must stay held.
-- KEYS gate, hold, partition's holds by expiry, done marker, key's spend
-- ARGV request id, tenant code, amount, time to live (ms), cost so far, event so far
-- Returns 1, or 0 when the call has been captured already (its hold was taken for dead).
local gate, hold, holds, done, spend = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local now_s, now_ms = clock()
if redis.call('EXISTS', hold) == 0 then
    if redis.call('EXISTS', done) == 1 then
        return 0
    end
    redis.call('HINCRBY', gate, 'held', ARGV[3])
    redis.call('HINCRBY', spend, 'held', ARGV[3])
    -- The windows are lost with it: it is counted in none.
    redis.call('HSET', hold, 'tenant', ARGV[2], 'amount', ARGV[3], 'since', whole(now_ms),
               'tokens', '0', 'second', now_s, 'windows', '')
end
redis.call('HSET', hold, 'cost', ARGV[5], 'event', ARGV[6])
redis.call('ZADD', holds, whole(now_ms + tonumber(ARGV[4])), ARGV[1])
return 1
