-- Shared: facts, and how those of sessions merge.
--
-- session fact       {sid, user, heard_at, agent?, agent_at?, claim?, claim_at?, started_at?, ended_at?, ended_by?}
-- conversation fact  {cid, id, agent, final, event_at, hash, received_at, started_at?, ended_at?, named_session?,
--                     named_user?, failure?, evaluation? {status, reason?, at}}; at is 0 for the provider's own
-- Times are whole milliseconds. A member that is not known is not there.
-- Facts merge by a fixed order, not by arrival: what users say, the earliest heard; what the
-- provider says, whole, the greater of (final, event_at, hash).

-- Numbers are written with '%d': cjson keeps 14 digits.
local encode, format = cjson.encode, string.format

-- Facts as text, with their members in a fixed order, so that equal facts are equal strings (but for
-- those that are kept as they were told). All in one expression: what a table or a loop would cost
-- here is most of what a script costs. UUIDs and our own words need no escaping.
local function encode_session(s)
  return '{' .. (s.agent and '"agent":' .. encode(s.agent) .. ',' or '')
    .. (s.agent_at and '"agent_at":' .. format('%d', s.agent_at) .. ',' or '')
    .. (s.claim and '"claim":' .. encode(s.claim) .. ',' or '')
    .. (s.claim_at and '"claim_at":' .. format('%d', s.claim_at) .. ',' or '')
    .. (s.ended_at and '"ended_at":' .. format('%d', s.ended_at) .. ',' or '')
    .. (s.ended_by and '"ended_by":' .. encode(s.ended_by) .. ',' or '')
    .. '"heard_at":' .. format('%d', s.heard_at) .. ',"sid":' .. encode(s.sid)
    .. (s.started_at and ',"started_at":' .. format('%d', s.started_at) or '') .. ',"user":' .. encode(s.user) .. '}'
end

-- Two facts of one session, or one and nil.
local function merge_session(a, b)
  if not a then return b end
  if not b then return a end
  local function least(x, y)
    if not x or (y and y < x) then return y end
    return x
  end
  -- true if (at, value) was heard before (other_at, other); without a stamp it was never heard
  local function heard_before(at, value, other_at, other)
    if not at then return false end
    if not other_at then return true end
    return at < other_at or (at == other_at and before(value or '', other or ''))
  end
  local m = {sid = a.sid, user = a.user, heard_at = least(a.heard_at, b.heard_at)}
  local from = heard_before(b.agent_at, b.agent, a.agent_at, a.agent) and b or a
  m.agent, m.agent_at = from.agent, from.agent_at
  from = heard_before(b.claim_at, b.claim, a.claim_at, a.claim) and b or a
  m.claim, m.claim_at = from.claim, from.claim_at
  from = heard_before(b.ended_at, b.ended_by, a.ended_at, a.ended_by) and b or a
  m.ended_at, m.ended_by = from.ended_at, from.ended_by
  m.started_at = least(a.started_at, b.started_at)
  -- a start that was heard after the end is none
  if m.started_at and m.ended_at and m.started_at > m.ended_at then m.started_at = nil end
  return m
end
