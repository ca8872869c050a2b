-- Take an Idempotency-Key for a request, unless another request has it.
-- KEYS record, and the beginning of the names of the partition's holds and done markers
-- ARGV request id, fingerprint, time to keep (s), grace (ms), grace after capture (s),
--      memory of done markers (s)
-- Returns {'claimed'}, {'in_use'}, {'reused'}, {'not_kept'} or {'kept', the answer's head}
local record, holds, dones = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local function take()
    redis.call('DEL', record)
    redis.call('HSET', record, 'state', 'running', 'request_id', ARGV[1], 'fingerprint', ARGV[2],
               'claimed_at', string.format('%.0f', now_ms))
    redis.call('EXPIRE', record, ARGV[3])
    return {'claimed'}
end

local old = redis.call('HMGET', record, 'state', 'request_id', 'fingerprint', 'claimed_at')
local state, owner = old[1], old[2]
if not state then
    return take()
end
-- The first answer of this script got lost on its way.
if state == 'running' and owner == ARGV[1] then
    return {'claimed'}
end

-- A call runs while its credit is held, which needs a moment after the claim; its answer is
-- here a moment after it was captured.
local function is_running(captured)
    if redis.call('EXISTS', holds .. owner) == 1 then
        return true
    end
    if captured then
        return tonumber(ARGV[6]) - redis.call('TTL', dones .. owner) <= tonumber(ARGV[5])
    end
    return now_ms - tonumber(old[4]) <= tonumber(ARGV[4])
end

if state == 'running' then
    local captured = redis.call('GET', dones .. owner)
    if not is_running(captured) then
        -- Its process has died. What cost nothing may be done again; what was paid may not,
        -- and this outlives the marker.
        if not captured or captured == '0' then
            return take()
        end
        redis.call('HSET', record, 'state', 'done')
        state = 'done'
    end
end

if old[3] ~= ARGV[2] then
    return {'reused'}
end
if state == 'running' then
    return {'in_use'}
end
if redis.call('HEXISTS', record, 'body') == 0 then
    return {'not_kept'}
end
return {'kept', redis.call('HGET', record, 'head')}
