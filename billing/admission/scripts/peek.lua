-- What the windows have now; nothing is used up.
-- KEYS windows
-- Returns requests, tokens and calls of each.
local now_s = clock()
local facts = {}
for _, window in ipairs(KEYS) do
    local requests, tokens, running = slide(window, now_s)
    facts[#facts + 1] = whole(requests)
    facts[#facts + 1] = whole(tokens)
    facts[#facts + 1] = whole(running)
end
return facts
