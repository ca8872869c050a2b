-- What the ledger has booked leaves the outbox, and its sum leaves `unsettled`.
-- Only events still there are counted, so a repeat changes nothing.
-- KEYS gate, outbox
-- ARGV ledger's balance, ledger's version, then per event: stream id, cost
-- Returns how many events left.

-- "-0" is no number to Redis.
local function give_back(key, field, amount)
    if amount ~= '0' then
        redis.call('HINCRBY', key, field, '-' .. amount)
    end
end

local gate, outbox = KEYS[1], KEYS[2]
local left = 0
for i = 3, #ARGV, 2 do
    if redis.call('XDEL', outbox, ARGV[i]) == 1 then
        give_back(gate, 'unsettled', ARGV[i + 1])
        left = left + 1
    end
end
local version = redis.call('HGET', gate, 'version')
if not version or tonumber(ARGV[2]) > tonumber(version) then
    redis.call('HSET', gate, 'posted', ARGV[1], 'version', ARGV[2])
end
return left
