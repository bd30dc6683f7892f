-- Shared: which facts must be looked at together.
--
-- Two facts belong together when one names or claims the other, or when the window match could join
-- them. A session or conversation that is joined by its ids takes no part in the window match; but
-- what was touched just now may have taken part before, so it frees or takes its neighbours.
--
-- A fact in a bucket is an item:
--   field, fact, text    as they stand there; without a text it is not what it was
--   touched, pinned      of decide.lua
--   first, last          its moments
--   named, open          a session that a conversation names; joined by an id to what was touched, or touched so
--   group                the item that stands for its group, if that is another. That one tells of all in it:
--   any_touched, any_pinned, whole (of decide.lua)
--   decided              of decide.lua
--   other, evidence      the item that it is linked to, and why (lua/link.lua)
-- All members are made at once: a table that grows costs more than what is done with it.

local function item_of(field, fact, text)
  return {field = field, fact = fact, text = text, touched = false, pinned = false, first = 0, last = 0, named = false,
    open = false, group = false, any_touched = false, any_pinned = false, whole = true, decided = false, other = false,
    evidence = false}
end

local function root(item)
  while item.group do item = item.group end
  return item
end

local function join(a, b)
  a, b = root(a), root(b)
  if a ~= b then a.group = b end
end

local function join_by_id(session, conversation)
  join(session, conversation)
  if session.touched or conversation.touched then session.open, conversation.open = true, true end
end

-- sessions, conversations: {id: item} → a list of all of them
local function group_facts(sessions, conversations, window)
  local items, n = {nil, nil, nil, nil}, 0
  for _, c in next, conversations do
    local fact = c.fact
    n = n + 1
    items[n], c.first, c.last = c, conversation_start(fact), conversation_end(fact)
    local s = fact.named_session and sessions[fact.named_session]
    if s then
      s.named = true
      join_by_id(s, c)
    end
  end
  for _, s in next, sessions do
    local c = s.fact.claim and conversations[s.fact.claim]
    if c then join_by_id(s, c) end
  end
  for _, s in next, sessions do
    local fact = s.fact
    n = n + 1
    items[n], s.first = s, session_time(fact)
    s.last = s.first
    if s.touched or s.open or not (s.named or (fact.claim and is_strong(fact.claim))) then
      for _, c in next, conversations do
        if (c.touched or c.open or not c.fact.named_session) and distance(fact, c.fact) <= window then join(s, c) end
      end
    end
  end
  for i = 1, n do
    local item = items[i]
    local g = root(item)
    if g ~= item then item.group = g end
    if item.touched then g.any_touched = true end
    if item.pinned then g.any_pinned = true end
  end
  return items
end
