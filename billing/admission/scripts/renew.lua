-- A live call's hold goes on, with its progress. A hold that Redis has lost is made again:
-- the call runs, so its money must stay held, and its place among the calls at once taken.
-- KEYS gate, hold, partition's holds by expiry, done marker, key's spend,
--      windows of the tenant, of the key, of the key at the model
-- ARGV request id, tenant code, amount, time to live (ms), cost so far, event so far,
--      as admit.lua counted it: windows ('1' or '0' each), second, tokens
-- Returns 1, or 0 when the call has been captured already (its hold was taken for dead).
local gate, hold, holds, done, spend = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local _, now_ms = clock()
if redis.call('EXISTS', hold) == 0 then
    if redis.call('EXISTS', done) == 1 then
        return 0
    end
    redis.call('HINCRBY', gate, 'held', ARGV[3])
    redis.call('HINCRBY', spend, 'held', ARGV[3])
    redis.call('HSET', hold, 'tenant', ARGV[2], 'amount', ARGV[3], 'since', whole(now_ms),
               'tokens', ARGV[9], 'second', ARGV[8], 'windows', ARGV[7])
    -- Its request and its tokens are told apart: count_again.lua.
    for i = 1, 3 do
        if string.sub(ARGV[7], i, i) == '1' then
            redis.call('HINCRBY', KEYS[5 + i], 'running', 1)
            redis.call('EXPIRE', KEYS[5 + i], 86400)
        end
    end
end
redis.call('HSET', hold, 'cost', ARGV[5], 'event', ARGV[6])
redis.call('ZADD', holds, whole(now_ms + tonumber(ARGV[4])), ARGV[1])
return 1
