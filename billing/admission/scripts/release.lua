-- What was reserved is given back, or has left the ledger, whose balance was told before.
-- KEYS gate, hold, partition's holds by expiry
-- ARGV id
-- Returns 1, or 0 when it had ended.
local amount = redis.call('HGET', KEYS[2], 'amount')
if not amount then
    return 0
end
give_back(KEYS[1], 'held', amount)
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
return 1
