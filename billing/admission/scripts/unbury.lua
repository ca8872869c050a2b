-- A dead letter goes back into the outbox, to be settled as any other event. Once: a letter that is
-- not there any more changes nothing.
-- KEYS partition's dead letters, its outbox
-- ARGV the letter's id
-- Returns 1 when it went back.
local letter = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not letter then
    return 0
end
local fields, kept = letter[2], {}
for i = 1, #fields, 2 do
    local name = fields[i]
    if name ~= 'id' and name ~= 'why' then
        kept[#kept + 1] = name
        kept[#kept + 1] = fields[i + 1]
    end
end
redis.call('XADD', KEYS[2], '*', unpack(kept))
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
