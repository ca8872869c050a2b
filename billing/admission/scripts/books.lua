-- KEYS gate
-- Returns posted, held and unsettled, and whether they are of this run; nothing: not known.
local books = redis.call('HMGET', KEYS[1], 'posted', 'held', 'unsettled', 'run')
if not books[1] then
    return nil
end
return {books[1], books[2] or '0', books[3] or '0', books[4] == this_run() and 1 or 0}
