-- Let a call start: everything that may refuse it, and the hold, in one step. A refusal uses
-- nothing up: no request, no token, no credit.
-- KEYS gate, tenant's standing, hold, partition's holds by expiry, done marker, key's spend,
--      windows of the tenant, of the key, of the key at the model, partition's mark
-- ARGV request id, tenant code, amount (nUSD), time to live (ms), event if it dies now,
--      tokens at most, UTC day, UTC month, budgets by day, month and life (nUSD; empty: none),
--      then for each window: requests, tokens, calls at once (empty: no limit)
-- Returns {verdict, facts …}: {'held', available, the second that it counts in, the windows that
--      count it ('1' or '0' each), then for each of these: its number, requests, tokens and
--      calls in it, this one counted};
--      {'limited', window's number, kind, limit, used, wait (ms; -1: never)};
--      {'budget', period, budget, spent, held}; {'insufficient' or 'credit_held', available, held};
--      {'cold'}: tenant or key are not known, or from an earlier run of Redis;
--      {'lost'}: nothing is for sure, this Redis has been emptied, or started anew
local gate, standing, hold, holds, done, spend = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local amount, tokens = tonumber(ARGV[3]), tonumber(ARGV[6])

local run = this_run()
if redis.call('GET', KEYS[10]) ~= run then
    return {'lost'}
end
local suspended = redis.call('HGET', standing, 'suspended')
local books = redis.call('HMGET', gate, 'posted', 'held', 'unsettled', 'run')
if not suspended or not books[1] or books[4] ~= run then
    return {'cold'}
end
if suspended ~= '' then
    return {'suspended', suspended}
end

local posted, held = tonumber(books[1]), tonumber(books[2] or '0')
local unsettled = tonumber(books[3] or '0')
local available = posted - held - unsettled
local now_s, now_ms = clock()
-- A retry of an answer that got lost: the hold stands already.
if redis.call('EXISTS', hold) == 1 or redis.call('EXISTS', done) == 1 then
    local place = redis.call('HMGET', hold, 'second', 'windows')
    return {'held', whole(available), place[1] or now_s, place[2] or ''}
end

-- How long until so much has left the window that `need` fits under the limit.
local function wait_ms(window, prefix, sum, limit, need)
    local tail = tonumber(redis.call('HGET', window, 'tail') or now_s)
    for second = tail, now_s do
        sum = sum - tonumber(redis.call('HGET', window, prefix .. second) or '0')
        if sum + need <= limit then
            return (second + WINDOW_S + 1) * 1000 - now_ms
        end
    end
    return -1
end

local counted, windows, facts = {}, '', {'held', whole(available - amount), now_s, ''}
for i = 1, 3 do
    local window, at = KEYS[6 + i], 11 + 3 * (i - 1)
    local most_requests, most_tokens = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local most_running = tonumber(ARGV[at + 3])
    if most_requests or most_tokens or most_running then
        local requests, sum, running = slide(window, now_s)
        if most_running and running + 1 > most_running then
            return {'limited', i, 'concurrent', ARGV[at + 3], whole(running), 1000}
        end
        if most_requests and requests + 1 > most_requests then
            return {'limited', i, 'requests', ARGV[at + 1], whole(requests),
                    whole(wait_ms(window, 'r', requests, most_requests, 1))}
        end
        if most_tokens and sum + tokens > most_tokens then
            return {'limited', i, 'tokens', ARGV[at + 2], whole(sum),
                    whole(wait_ms(window, 't', sum, most_tokens, tokens))}
        end
        counted[#counted + 1] = {window, requests + 1, sum + tokens, running + 1}
        windows = windows .. '1'
        facts[#facts + 1] = i
        facts[#facts + 1] = whole(requests + 1)
        facts[#facts + 1] = whole(sum + tokens)
        facts[#facts + 1] = whole(running + 1)
    else
        windows = windows .. '0'
    end
end

if ARGV[9] ~= '' or ARGV[10] ~= '' or ARGV[11] ~= '' then
    local own = redis.call('HMGET', spend, 'life', 'held', 'unsettled', 'day_of', 'day', 'month_of',
                           'month', 'run')
    if not own[1] or own[8] ~= run then
        return {'cold'}
    end
    -- What is not booked yet counts for every period: it may belong to any.
    local own_held, own_unsettled = tonumber(own[2] or '0'), tonumber(own[3] or '0')
    local spent = {
        day = own[4] >= ARGV[7] and tonumber(own[5]) or 0,
        month = own[6] >= ARGV[8] and tonumber(own[7]) or 0,
        life = tonumber(own[1]),
    }
    for i, period in ipairs({'day', 'month', 'life'}) do
        local budget = tonumber(ARGV[8 + i])
        local used = spent[period] + own_unsettled
        if budget and used + own_held + amount > budget then
            return {'budget', period, ARGV[8 + i], whole(used), whole(own_held)}
        end
    end
end

if amount > available then
    local verdict = amount > posted - unsettled and 'insufficient' or 'credit_held'
    return {verdict, whole(available), whole(held)}
end

facts[4] = windows
redis.call('HINCRBY', gate, 'held', ARGV[3])
redis.call('HINCRBY', spend, 'held', ARGV[3])
redis.call('EXPIRE', spend, 2592000)
for _, each in ipairs(counted) do
    local window = each[1]
    redis.call('HSETNX', window, 'tail', now_s)
    redis.call('HSET', window, 'requests', whole(each[2]), 'tokens', whole(each[3]), 'running',
               whole(each[4]))
    redis.call('HINCRBY', window, 'r' .. now_s, 1)
    if tokens > 0 then
        redis.call('HINCRBY', window, 't' .. now_s, ARGV[6])
    end
    redis.call('EXPIRE', window, 86400)
end
redis.call('HSET', hold, 'tenant', ARGV[2], 'amount', ARGV[3], 'cost', '0', 'event', ARGV[5],
           'since', whole(now_ms), 'tokens', ARGV[6], 'second', now_s, 'windows', windows)
redis.call('ZADD', holds, whole(now_ms + tonumber(ARGV[4])), ARGV[1])
return facts
