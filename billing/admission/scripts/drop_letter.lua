-- A dead letter is given up: nobody pays for its call, and its cost leaves `unsettled`. Once.
-- KEYS partition's dead letters, the tenant's gate, the spend of its key
-- ARGV the letter's id, its cost
-- Returns 1 when it was there.
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then
    return 0
end
give_back(KEYS[2], 'unsettled', ARGV[2])
give_back(KEYS[3], 'unsettled', ARGV[2])
return 1
