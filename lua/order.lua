-- Shared: what comes before what.

-- Bytewise order. Lua's own `<` follows the server's locale.
local function before(a, b)
  local n = math.min(#a, #b)
  for i = 1, n do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- Of two contents of one conversation, {final, event_at, hash}, which counts.
local function is_greater_content(a, b)
  if a.final ~= b.final then return a.final > b.final end
  if a.event_at ~= b.event_at then return a.event_at > b.event_at end
  return before(b.hash, a.hash)
end
