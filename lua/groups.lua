-- Shared: which facts must be looked at together.
--
-- Two facts belong together when one names or claims the other, or when the window match could join
-- them. A session or conversation that is joined by its ids takes no part in the window match; but
-- what was touched just now may have taken part before, so it frees or takes its neighbours.

-- sessions, conversations: {id: fact}; touched: {'s:<sid>' or 'c:<cid>': true} → list of
-- {facts: [{field, fact, first, last} …], touched: bool, low: the first moment}
local function group_facts(sessions, conversations, touched, window)
  local facts, n, parent, session_at, conversation_at = {}, 0, {}, {}, {}
  for sid, s in next, sessions do
    local field, at = 's:' .. sid, session_time(s)
    n = n + 1
    facts[n], parent[n], session_at[sid] = {field = field, fact = s, first = at, last = at, touched = touched[field]}, n, n
  end
  for cid, c in next, conversations do
    local field = 'c:' .. cid
    n = n + 1
    facts[n] = {field = field, fact = c, first = conversation_start(c), last = conversation_end(c), touched = touched[field]}
    parent[n], conversation_at[cid] = n, n
  end
  local function root(i)
    while parent[i] ~= i do i = parent[i] end
    return i
  end

  local named, open = {}, {}
  local function join_by_id(i, j)
    parent[root(i)] = root(j)
    if facts[i].touched or facts[j].touched then open[i], open[j] = true, true end
  end
  for _, i in next, conversation_at do
    local j = session_at[facts[i].fact.named_session or '']
    if j then
      named[j] = true
      join_by_id(i, j)
    end
  end
  for _, i in next, session_at do
    local j = conversation_at[facts[i].fact.claim or '']
    if j then join_by_id(i, j) end
  end

  for _, i in next, session_at do
    local s = facts[i].fact
    if facts[i].touched or open[i] or not (named[i] or (s.claim and is_strong(s.claim))) then
      for _, j in next, conversation_at do
        local c = facts[j].fact
        if (facts[j].touched or open[j] or not c.named_session) and distance(s, c) <= window then
          parent[root(i)] = root(j)
        end
      end
    end
  end

  local by_root, groups = {}, {}
  for i = 1, n do
    local f, r = facts[i], root(i)
    local g = by_root[r]
    if not g then
      g = {facts = {}, touched = false, low = f.first}
      by_root[r], groups[#groups + 1] = g, g
    end
    g.facts[#g.facts + 1] = f
    g.touched = g.touched or f.touched or false
    if f.first < g.low then g.low = f.first end
  end
  return groups
end
