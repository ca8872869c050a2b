-- An event that the ledger cannot take leaves the outbox for the dead letters. Once, however many
-- workers find it.
-- KEYS outbox, partition's dead letters
-- ARGV the event's id, then the letter's fields and values in turn
-- Returns 1 when it was there.
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then
    return 0
end
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 2))
return 1
