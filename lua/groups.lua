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
--   any_touched, any_pinned, partial (of decide.lua)
--   decided, id          of decide.lua
--   other, evidence      the item that it is linked to, and why (lua/link.lua)
-- Nine members are made at once, which gives it room for sixteen: a table that grows costs more than what is
-- done with it.

local function item_of(field, fact, text)
  return {field = field, fact = fact, text = text, touched = false, first = 0, last = 0, group = false, other = false,
    decided = false}
end

-- An id that only the provider can have made; other claims do not keep a session out of the window match.
local STRONG_CLAIM = '^conv_[A-Za-z0-9]+$'

local function join(a, b)
  while a.group do a = a.group end
  while b.group do b = b.group end
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
    local named, received_at = fact.named_session, fact.received_at
    n = n + 1
    items[n], c.first, c.last = c, fact.started_at or received_at, fact.ended_at or received_at
    local s = named and sessions[named]
    if s then
      s.named = true
      join_by_id(s, c)
    end
  end
  for _, s in next, sessions do
    local claim = s.fact.claim
    local c = claim and conversations[claim]
    if c then join_by_id(s, c) end
  end
  for _, s in next, sessions do
    local fact = s.fact
    local at = fact.ended_at or fact.started_at or fact.heard_at
    n = n + 1
    items[n], s.first, s.last = s, at, at
    if s.touched or s.open or not (s.named or (fact.claim and fact.claim:find(STRONG_CLAIM))) then
      for _, c in next, conversations do
        if (c.touched or c.open or not c.fact.named_session) and distance(fact, c.fact) <= window then join(s, c) end
      end
    end
  end
  for i = 1, n do
    local item = items[i]
    local g = item
    while g.group do g = g.group end
    if g ~= item then item.group = g end
    if item.touched then g.any_touched = true end
    if item.pinned then g.any_pinned = true end
  end
  return items
end
