-- Hold credit for something that is no call, until it is given back or has left the ledger. When
-- nobody ends it, it ends by itself and nothing is taken.
-- KEYS gate, hold, partition's holds by expiry, partition's mark
-- ARGV id, tenant code, amount (nUSD), time to live (ms), event for those who list holds
-- Returns {'held'}, {'insufficient', available}, {'cold'} or {'lost'}, as admit.lua.
local gate, hold, holds = KEYS[1], KEYS[2], KEYS[3]
if redis.call('EXISTS', KEYS[4]) == 0 then
    return {'lost'}
end
local books = redis.call('HMGET', gate, 'posted', 'held', 'unsettled', 'run')
if not books[1] or books[4] ~= this_run() then
    return {'cold'}
end
if redis.call('EXISTS', hold) == 1 then
    return {'held'}
end
local available = tonumber(books[1]) - tonumber(books[2] or '0') - tonumber(books[3] or '0')
if tonumber(ARGV[3]) > available then
    return {'insufficient', whole(available)}
end
local now_s, now_ms = clock()
redis.call('HINCRBY', gate, 'held', ARGV[3])
redis.call('HSET', hold, 'tenant', ARGV[2], 'amount', ARGV[3], 'cost', '0', 'event', ARGV[5],
           'since', whole(now_ms), 'tokens', '0', 'second', now_s, 'windows', '', 'returns', '1')
redis.call('ZADD', holds, whole(now_ms + tonumber(ARGV[4])), ARGV[1])
return {'held'}
