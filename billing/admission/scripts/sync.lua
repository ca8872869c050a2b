-- The ledger's balance, as of a version. The gate keeps the highest version it was told.
-- KEYS gate
-- ARGV balance, version, the run in which the ledger was asked
post_balance(KEYS[1], ARGV[1], ARGV[2])
trust(KEYS[1], ARGV[3])
