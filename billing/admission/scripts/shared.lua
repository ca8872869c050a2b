-- What several scripts need: put before each of them.
--
-- A window counts what was admitted in the last 60 seconds, by the second: fields `r<second>`
-- (requests) and `t<second>` (tokens), their sums `requests` and `tokens`, the oldest second
-- still counted (`tail`), and `running`, the calls that run now. A second is counted until
-- all of it is 60 seconds old, so no window of 60 seconds ever has more than the sums say.

local WINDOW_S = 60

-- "-0" is no number to Redis.
local function give_back(key, field, amount)
    if amount ~= '0' then
        redis.call('HINCRBY', key, field, '-' .. amount)
    end
end

local function whole(number)
    return string.format('%.0f', number)
end

local function clock()
    local time = redis.call('TIME')
    local now_s = tonumber(time[1])
    return now_s, now_s * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Leave behind what is older than the window. Returns what it has: requests, tokens, running.
local function slide(window, now_s)
    local fields = redis.call('HMGET', window, 'requests', 'tokens', 'running', 'tail')
    local requests, tokens = tonumber(fields[1] or '0'), tonumber(fields[2] or '0')
    local running, tail = tonumber(fields[3] or '0'), tonumber(fields[4])
    local oldest = now_s - WINDOW_S
    if tail and tail < oldest then
        local names = {}
        for second = tail, math.min(oldest - 1, tail + WINDOW_S) do
            names[#names + 1] = 'r' .. second
            names[#names + 1] = 't' .. second
        end
        local counts = redis.call('HMGET', window, unpack(names))
        for i = 1, #names, 2 do
            requests = requests - tonumber(counts[i] or '0')
            tokens = tokens - tonumber(counts[i + 1] or '0')
        end
        redis.call('HDEL', window, unpack(names))
        redis.call('HSET', window, 'tail', oldest, 'requests', whole(requests),
                   'tokens', whole(tokens))
    end
    return requests, tokens, running
end

-- A call of this window has ended: it runs no more, and its tokens are what it really used.
-- A second that has left the window is past correcting, and none has less than nothing: where
-- Redis was told again what it had lost, the correction may have been known already.
local function leave(window, second, counted, used)
    local fields = redis.call('HMGET', window, 'running', 'tail', 't' .. second)
    if tonumber(fields[1] or '0') > 0 then
        redis.call('HINCRBY', window, 'running', '-1')
    end
    local change = used and tonumber(used) - tonumber(counted) or 0
    change = math.max(change, -tonumber(fields[3] or '0'))
    if change ~= 0 and fields[2] and tonumber(second) >= tonumber(fields[2]) then
        redis.call('HINCRBY', window, 't' .. second, whole(change))
        redis.call('HINCRBY', window, 'tokens', whole(change))
    end
end

-- A hold ends: gate, budget and windows have their own again. Returns whether there was one.
-- used: the tokens of the call; nil where nobody knows.
local function end_hold(hold, holds, request_id, gate, spend, windows, used)
    local fields = redis.call('HMGET', hold, 'amount', 'tokens', 'second', 'windows')
    if not fields[1] then
        return false
    end
    give_back(gate, 'held', fields[1])
    give_back(spend, 'held', fields[1])
    redis.call('DEL', hold)
    redis.call('ZREM', holds, request_id)
    for i, window in ipairs(windows) do
        if string.sub(fields[4] or '', i, i) == '1' then
            leave(window, fields[3], fields[2], used)
        end
    end
    return true
end

-- What was used is owed, and on its way to the ledger.
local function owe(gate, spend, outbox, done, tenant, cost, event, memory_s)
    redis.call('HINCRBY', gate, 'unsettled', cost)
    redis.call('HINCRBY', spend, 'unsettled', cost)
    redis.call('XADD', outbox, '*', 'tenant', tenant, 'cost', cost, 'event', event)
    redis.call('SET', done, cost, 'EX', memory_s)
end

-- Which run of Redis this is. A Redis that starts with the data of earlier (a copy put back, a
-- replica that lagged) has books that were true once: nothing is lent by them until the ledger
-- has been asked again.
local function this_run()
    return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
end

-- What the ledger said was asked for in this run, so nothing that was told since can be missing.
local function trust(key, asked_in)
    if asked_in == this_run() then
        redis.call('HSET', key, 'run', asked_in)
    end
end

-- A higher version of the ledger wins; an older one, come late, is ignored.
local function is_news(key, version)
    local known = redis.call('HGET', key, 'version')
    return not known or tonumber(version) > tonumber(known)
end

local function post_balance(gate, balance, version)
    if is_news(gate, version) then
        redis.call('HSET', gate, 'posted', balance, 'version', version)
    end
end

local function post_spend(spend, version, life, day_of, day, month_of, month)
    if is_news(spend, version) then
        redis.call('HSET', spend, 'version', version, 'life', life, 'day_of', day_of, 'day', day,
                   'month_of', month_of, 'month', month)
        redis.call('EXPIRE', spend, 2592000)
    end
end
