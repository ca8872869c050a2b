-- A call was captured and booked while Redis was away: its hold ends, and it is remembered.
-- The ledger's balance has been told before, so nothing is owed any more.
-- KEYS gate, hold, partition's holds by expiry, done marker, key's spend,
--      windows of the tenant, of the key, of the key at the model
-- ARGV request id, cost, memory of the marker (s), tokens used
local gate, hold, holds, done, spend = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
redis.call('SET', done, ARGV[2], 'EX', ARGV[3], 'NX')
end_hold(hold, holds, ARGV[1], gate, spend, {KEYS[6], KEYS[7], KEYS[8]}, ARGV[4])
