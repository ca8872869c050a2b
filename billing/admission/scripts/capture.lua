-- A call has ended: its hold ends, its cost is taken, its event enters the outbox.
-- Works once per request id; a repeat answers what was captured first. Works without the
-- hold too, if Redis has lost it: what was used is paid.
-- KEYS gate, hold, partition's holds by expiry, done marker, outbox
-- ARGV request id, tenant code, cost (nUSD), event, memory of the marker (s)
-- Returns {cost captured, available}

-- "-0" is no number to Redis.
local function give_back(key, field, amount)
    if amount ~= '0' then
        redis.call('HINCRBY', key, field, '-' .. amount)
    end
end

local gate, hold, holds, done, outbox = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local cost = redis.call('GET', done)
if not cost then
    cost = ARGV[3]
    -- First what may fail: a script that stops here has changed nothing.
    redis.call('HINCRBY', gate, 'unsettled', cost)
    local amount = redis.call('HGET', hold, 'amount')
    if amount then
        give_back(gate, 'held', amount)
        redis.call('DEL', hold)
        redis.call('ZREM', holds, ARGV[1])
    end
    redis.call('XADD', outbox, '*', 'tenant', ARGV[2], 'cost', cost, 'event', ARGV[4])
    redis.call('SET', done, cost, 'EX', ARGV[5])
end
local books = redis.call('HMGET', gate, 'posted', 'held', 'unsettled')
local available = tonumber(books[1] or '0') - tonumber(books[2] or '0') - tonumber(books[3] or '0')
return {cost, string.format('%.0f', available)}
