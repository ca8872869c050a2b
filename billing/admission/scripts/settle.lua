-- What the ledger has booked leaves the outbox, and its sum leaves `unsettled`.
-- Only events still there are counted, so a repeat changes nothing.
-- KEYS gate, outbox, then the spend of every key concerned
-- ARGV ledger's balance, ledger's version, number of events, then per event: stream id, cost,
--      the number of its key among KEYS; then as in sync_spend.lua for each key in turn:
--      life, UTC day, spent in it, UTC month, spent in it
-- Returns how many events left.
local gate, outbox = KEYS[1], KEYS[2]
local left, at = 0, 4
for _ = 1, tonumber(ARGV[3]) do
    if redis.call('XDEL', outbox, ARGV[at]) == 1 then
        give_back(gate, 'unsettled', ARGV[at + 1])
        give_back(KEYS[tonumber(ARGV[at + 2])], 'unsettled', ARGV[at + 1])
        left = left + 1
    end
    at = at + 3
end
post_balance(gate, ARGV[1], ARGV[2])
for i = 3, #KEYS do
    post_spend(KEYS[i], ARGV[2], ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
    at = at + 5
end
return left
