-- The ledger's balance, as of a version. The gate keeps the highest version it was told.
-- KEYS gate
-- ARGV balance, version
post_balance(KEYS[1], ARGV[1], ARGV[2])
