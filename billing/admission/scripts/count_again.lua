-- Tell a window what was admitted in the last minute: it may have lost it, or never known.
-- What Redis admitted itself is what it still has of it, or what the processes remember, if that
-- is more; what PostgreSQL admitted in its place comes on top, once: how much of it is counted
-- already stands in a hash beside the window. So a repeat, or an older telling, changes nothing.
-- KEYS window, what is counted in it of PostgreSQL's admissions
-- ARGV for each second in turn: the second, requests and tokens as the processes remember them,
--      requests and tokens that PostgreSQL admitted
local window, again = KEYS[1], KEYS[2]
local now_s = clock()
local requests, tokens = slide(window, now_s)
local tail = tonumber(redis.call('HGET', window, 'tail') or now_s)
local seconds = {}
for at = 1, #ARGV, 5 do
    local second = tonumber(ARGV[at])
    if second >= now_s - WINDOW_S then
        -- A clock that is ahead of ours must not reach beyond the window.
        second = math.min(second, now_s)
        local told = seconds[second] or {0, 0, 0, 0}
        for i = 1, 4 do
            told[i] = told[i] + tonumber(ARGV[at + i])
        end
        seconds[second] = told
    end
end

-- Returns how much the second has more than it had.
local function count(prefix, second, remembered, in_our_place)
    local field = prefix .. second
    local had = tonumber(redis.call('HGET', window, field) or '0')
    local known = tonumber(redis.call('HGET', again, field) or '0')
    local placed = math.max(known, in_our_place)
    local has = math.max(had - known, remembered) + placed
    if has ~= had then
        redis.call('HSET', window, field, whole(has))
    end
    if placed ~= known then
        redis.call('HSET', again, field, whole(placed))
    end
    return has - had
end

for second, told in pairs(seconds) do
    requests = requests + count('r', second, told[1], told[3])
    tokens = tokens + count('t', second, told[2], told[4])
    tail = math.min(tail, second)
end
redis.call('HSET', window, 'tail', tail, 'requests', whole(requests), 'tokens', whole(tokens))
redis.call('EXPIRE', window, 86400)
redis.call('EXPIRE', again, 2 * WINDOW_S)
