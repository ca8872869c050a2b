-- The ledger's balance, as of a version. The gate keeps the highest version it was told.
-- KEYS gate
-- ARGV balance, version
local version = redis.call('HGET', KEYS[1], 'version')
if not version or tonumber(ARGV[2]) > tonumber(version) then
    redis.call('HSET', KEYS[1], 'posted', ARGV[1], 'version', ARGV[2])
end
