-- A call has ended: its hold ends, its cost is taken, its event enters the outbox.
-- Works once per request id; a repeat answers what was captured first. Works without the
-- hold too, if Redis has lost it: what was used is paid.
-- KEYS gate, hold, partition's holds by expiry, done marker, outbox, key's spend,
--      windows of the tenant, of the key, of the key at the model
-- ARGV request id, tenant code, cost (nUSD), event, memory of the marker (s), tokens used
-- Returns {cost captured, available}
local gate, hold, holds, done, outbox, spend = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local cost = redis.call('GET', done)
if not cost then
    cost = ARGV[3]
    -- First what may fail: a script that stops here has changed nothing.
    owe(gate, spend, outbox, done, ARGV[2], cost, ARGV[4], ARGV[5])
    end_hold(hold, holds, ARGV[1], gate, spend, {KEYS[7], KEYS[8], KEYS[9]}, ARGV[6])
end
local books = redis.call('HMGET', gate, 'posted', 'held', 'unsettled')
local available = tonumber(books[1] or '0') - tonumber(books[2] or '0') - tonumber(books[3] or '0')
return {cost, whole(available)}
