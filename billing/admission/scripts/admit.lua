-- Let a call start: everything that may refuse it, and the hold, in one step.
-- KEYS gate, tenant's standing, hold, partition's holds by expiry, done marker
-- ARGV request id, tenant code, amount (nUSD), time to live (ms), event if it dies now
-- Returns {verdict, number, number}
local gate, standing, hold, holds, done = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local amount = tonumber(ARGV[3])

local suspended = redis.call('HGET', standing, 'suspended')
local books = redis.call('HMGET', gate, 'posted', 'held', 'unsettled')
if not suspended or not books[1] then
    return {'cold'}
end
if suspended ~= '' then
    return {'suspended', suspended}
end

local posted, held = tonumber(books[1]), tonumber(books[2] or '0')
local unsettled = tonumber(books[3] or '0')
local available = posted - held - unsettled
-- A retry of an answer that got lost: the hold stands already.
if redis.call('EXISTS', hold) == 1 or redis.call('EXISTS', done) == 1 then
    return {'held', string.format('%.0f', available)}
end
if amount > available then
    local verdict = amount > posted - unsettled and 'insufficient' or 'credit_held'
    return {verdict, string.format('%.0f', available), string.format('%.0f', held)}
end

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HINCRBY', gate, 'held', ARGV[3])
redis.call('HSET', hold, 'tenant', ARGV[2], 'amount', ARGV[3], 'cost', '0', 'event', ARGV[5],
           'since', string.format('%.0f', now_ms))
redis.call('ZADD', holds, string.format('%.0f', now_ms + tonumber(ARGV[4])), ARGV[1])
return {'held', string.format('%.0f', available - amount)}
