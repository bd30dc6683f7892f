-- Shared: the links as a pure function of one user's facts.

-- Smaller distance first, then the smaller id.
local function nearer(d, id, best_d, best_id)
  return d < best_d or (d == best_d and before(id, best_id))
end

-- sessions, conversations: {id: item} (lua/groups.lua): notes in each item what it is linked to
local function link(sessions, conversations, window)
  -- 1. The webhook names the session. Of several: the one that the session claims, then the nearer.
  for cid, c in next, conversations do
    local s = c.fact.named_session and sessions[c.fact.named_session]
    if s then
      local best, claim = s.other, s.fact.claim
      if not best or claim == cid or (claim ~= best.fact.cid
          and nearer(distance(s.fact, c.fact), cid, distance(s.fact, best.fact), best.fact.cid)) then
        if best then best.other = false end
        s.other, c.other, s.evidence = c, s, 'session_id'
      end
    end
  end

  -- 2. A session claims the conversation. Of several: the nearer, then the smaller sid.
  for sid, s in next, sessions do
    local c = s.fact.claim and not s.other and conversations[s.fact.claim]
    if c and not (c.other and c.other.evidence == 'session_id') then
      local best = c.other
      if not best or nearer(distance(s.fact, c.fact), sid, distance(best.fact, c.fact), best.fact.sid) then
        if best then best.other = false end
        s.other, c.other, s.evidence = c, s, 'conversation_id'
      end
    end
  end

  -- 3. The stable matching by distance among the rest: the closest pair is joined and taken out.
  if window <= 0 then return end
  local pairs_by_distance, n = nil, 0
  for sid, s in next, sessions do
    local fact = s.fact
    if not s.other and not (fact.claim and fact.claim:find(STRONG_CLAIM)) then
      for cid, c in next, conversations do
        if not c.other and not c.fact.named_session and (not fact.agent or fact.agent == c.fact.agent) then
          local d = distance(fact, c.fact)
          if d <= window then
            pairs_by_distance, n = pairs_by_distance or {}, n + 1
            pairs_by_distance[n] = {d = d, sid = sid, cid = cid, s = s, c = c}
          end
        end
      end
    end
  end
  if n > 1 then
    table.sort(pairs_by_distance, function(a, b)
      if a.d ~= b.d then return a.d < b.d end
      if a.sid ~= b.sid then return before(a.sid, b.sid) end
      return before(a.cid, b.cid)
    end)
  end
  for i = 1, n do
    local p = pairs_by_distance[i]
    local s, c = p.s, p.c
    if not s.other and not c.other then s.other, c.other, s.evidence = c, s, 'window' end
  end
end
