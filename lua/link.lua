-- Shared: the links as a pure function of one user's facts.

-- sessions {sid: fact}, conversations {cid: fact}, window in ms → {sid: {cid, evidence}}
local function link(sessions, conversations, window)
  local links, taken = {}, {}
  local function join(sid, cid, evidence)
    links[sid] = {cid = cid, evidence = evidence}
    taken[cid] = true
  end

  -- 1. The webhook names the session. Of several: the one that the session claims, then the nearer.
  local best = {}
  for cid, c in pairs(conversations) do
    local s = c.named_session and sessions[c.named_session]
    if s then
      local b, d, claimed = best[s.sid], distance(s, c), s.claim == cid
      if not b or (claimed and not b.claimed)
          or (claimed == b.claimed and nearer(d, cid, b.d, b.cid)) then
        best[s.sid] = {cid = cid, d = d, claimed = claimed}
      end
    end
  end
  for sid, b in pairs(best) do join(sid, b.cid, 'session_id') end

  -- 2. A session claims the conversation. Of several: the nearer, then the smaller sid.
  best = {}
  for sid, s in pairs(sessions) do
    local c = s.claim and conversations[s.claim]
    if c and not links[sid] and not taken[c.cid] then
      local d, b = distance(s, c), best[c.cid]
      if not b or nearer(d, sid, b.d, b.sid) then best[c.cid] = {sid = sid, d = d} end
    end
  end
  for cid, b in pairs(best) do join(b.sid, cid, 'conversation_id') end

  -- 3. The stable matching by distance among the rest: the closest pair is joined and taken out.
  if window <= 0 then return links end
  local pairs_by_distance = {}
  for sid, s in pairs(sessions) do
    if not links[sid] and not (s.claim and is_strong(s.claim)) then
      for cid, c in pairs(conversations) do
        if not taken[cid] and not c.named_session and (not s.agent or s.agent == c.agent) then
          local d = distance(s, c)
          if d <= window then pairs_by_distance[#pairs_by_distance + 1] = {d = d, sid = sid, cid = cid} end
        end
      end
    end
  end
  table.sort(pairs_by_distance, function(a, b)
    if a.d ~= b.d then return a.d < b.d end
    if a.sid ~= b.sid then return before(a.sid, b.sid) end
    return before(a.cid, b.cid)
  end)
  for _, p in ipairs(pairs_by_distance) do
    if not links[p.sid] and not taken[p.cid] then join(p.sid, p.cid, 'window') end
  end
  return links
end
