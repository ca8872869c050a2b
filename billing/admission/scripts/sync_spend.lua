-- What a key has spent, as of a version of the ledger.
-- KEYS key's spend
-- ARGV version, life, UTC day, spent in it, UTC month, spent in it, the run in which the ledger
--      was asked
post_spend(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6])
trust(KEYS[1], ARGV[7])
