-- A call has ended well: its answer is kept. All answers of a tenant share a budget; the oldest
-- lose their bodies when it is spent, and their records say so to whoever asks.
-- KEYS record, tenant's kept bodies by age, sum of their bytes, beginning of records' names
-- ARGV request id, fingerprint, time to keep (s), digest of the Idempotency-Key, the answer's
--      head, its compressed body (empty: too large to keep), tenant's budget (bytes)
-- Returns 1 if the body is kept.
local record, kept, total, records = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local owner = redis.call('HGET', record, 'request_id')
-- Taken for dead meanwhile, and made again by another.
if owner and owner ~= ARGV[1] then
    return 0
end

local function forget(member)
    local digest, request_id, bytes = string.match(member, '^(%x+):(%x+):(%d+)$')
    if redis.call('HGET', records .. digest, 'request_id') == request_id then
        redis.call('HDEL', records .. digest, 'body')
    end
    redis.call('ZREM', kept, member)
    redis.call('DECRBY', total, bytes)
end

-- Redis may have lost the record: then it is made again.
redis.call('HSET', record, 'state', 'done', 'request_id', ARGV[1], 'fingerprint', ARGV[2],
           'head', ARGV[5])
redis.call('EXPIRE', record, ARGV[3])
local bytes, budget = #ARGV[6], tonumber(ARGV[7])
if bytes == 0 or bytes > budget then
    return 0
end

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local expired_us = string.format('%.0f', now_us - ARGV[3] * 1000000)
for _, member in ipairs(redis.call('ZRANGEBYSCORE', kept, '-inf', expired_us, 'LIMIT', 0, 100)) do
    forget(member)
end
local mine = ARGV[4] .. ':' .. ARGV[1] .. ':' .. bytes
-- Not counted twice when this script is sent again.
if not redis.call('ZSCORE', kept, mine) then
    while tonumber(redis.call('GET', total) or '0') + bytes > budget do
        local oldest = redis.call('ZRANGE', kept, 0, 0)[1]
        if not oldest then
            redis.call('DEL', total)
            break
        end
        forget(oldest)
    end
    redis.call('ZADD', kept, string.format('%.0f', now_us), mine)
    redis.call('INCRBY', total, bytes)
end
redis.call('HSET', record, 'body', ARGV[6])
redis.call('EXPIRE', kept, ARGV[3])
redis.call('EXPIRE', total, ARGV[3])
return 1
