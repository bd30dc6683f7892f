-- Shared: which facts must be looked at together.
--
-- Two facts belong together when one names or claims the other, or when the window match could join
-- them. A session or conversation that is joined by its ids takes no part in the window match; but
-- what was touched just now may have taken part before, so it frees or takes its neighbours.

local function fact_points(f)
  if f.cid then return conversation_start(f), conversation_end(f) end
  return session_time(f), session_time(f)
end

-- sessions, conversations: {id: fact}; touched: {'s:<sid>' or 'c:<cid>': true} → list of
-- {facts: [{field, fact} …], touched: bool}
local function group_facts(sessions, conversations, touched, window)
  local parent, named, open = {}, {}, {}
  local function root(field)
    while parent[field] ~= field do field = parent[field] end
    return field
  end
  local function join(a, b)
    parent[root(a)] = root(b)
  end
  for sid in pairs(sessions) do parent['s:' .. sid] = 's:' .. sid end
  for cid in pairs(conversations) do parent['c:' .. cid] = 'c:' .. cid end

  local function join_by_id(a, b)
    join(a, b)
    if touched[a] or touched[b] then open[a], open[b] = true, true end
  end
  for cid, c in pairs(conversations) do
    if c.named_session and sessions[c.named_session] then
      named[c.named_session] = true
      join_by_id('c:' .. cid, 's:' .. c.named_session)
    end
  end
  for sid, s in pairs(sessions) do
    if s.claim and conversations[s.claim] then join_by_id('s:' .. sid, 'c:' .. s.claim) end
  end

  for sid, s in pairs(sessions) do
    local a = 's:' .. sid
    if touched[a] or open[a] or not (named[sid] or (s.claim and is_strong(s.claim))) then
      for cid, c in pairs(conversations) do
        local b = 'c:' .. cid
        if (touched[b] or open[b] or not c.named_session) and distance(s, c) <= window then join(a, b) end
      end
    end
  end

  local by_root, groups = {}, {}
  local function add(field, fact)
    local r = root(field)
    local g = by_root[r]
    if not g then
      g = {facts = {}, touched = false}
      by_root[r] = g
      groups[#groups + 1] = g
    end
    g.facts[#g.facts + 1] = {field = field, fact = fact}
    g.touched = g.touched or touched[field] or false
    local first = fact_points(fact)
    g.low = least(g.low, first)
  end
  for sid, s in pairs(sessions) do add('s:' .. sid, s) end
  for cid, c in pairs(conversations) do add('c:' .. cid, c) end
  return groups
end
