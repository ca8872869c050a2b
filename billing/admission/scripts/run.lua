-- Returns which run of Redis has these books. To be asked before the ledger is.
-- KEYS gate
return this_run()
