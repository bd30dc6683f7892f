-- Shared: facts of conversations, how they merge, and how far they are from a session.

-- As encode_session(). The epoch stands first: a caller sets it before a fact that has none.
local function encode_conversation(c)
  local e = c.evaluation
  return (c.epoch and '{"epoch":' .. format('%d', c.epoch) .. ',' or '{')
    .. (c.agent and '"agent":' .. encode(c.agent) .. ',' or '') .. '"cid":' .. encode(c.cid)
    .. (c.ended_at and ',"ended_at":' .. format('%d', c.ended_at) .. ',' or ',')
    .. (e and '"evaluation":{"at":' .. format('%d', e.at) .. (e.reason and ',"reason":' .. encode(e.reason) or '')
      .. ',"status":"' .. e.status .. '"},' or '')
    .. '"event_at":' .. format('%d', c.event_at) .. (c.failure and ',"failure":' .. encode(c.failure) or '')
    .. ',"final":' .. format('%d', c.final) .. ',"hash":"' .. c.hash .. '","id":"' .. c.id .. '"'
    .. (c.named_session and ',"named_session":' .. encode(c.named_session) or '')
    .. (c.named_user and ',"named_user":"' .. c.named_user .. '"' or '')
    .. (c.received_at and ',"received_at":' .. format('%d', c.received_at) or '')
    .. (c.started_at and ',"started_at":' .. format('%d', c.started_at) or '') .. '}'
end

-- Two facts of one conversation, or one and nil.
local function merge_conversation(a, b)
  if not a then return b end
  if not b then return a end
  local m, other = a, b
  if is_greater_content(b, a) then m, other = b, a end
  -- what the provider made of lesser content (at = 0) counts no more
  local evaluation = other.evaluation
  if evaluation and evaluation.at == 0 and is_greater_content(m, other) then evaluation = nil end
  local mine = m.evaluation
  if not mine then
    m.evaluation = evaluation
  elseif evaluation then
    local RANK = {pending = 1, failed = 2, complete = 3}
    local rank, other_rank = RANK[mine.status], RANK[evaluation.status]
    if other_rank > rank or (other_rank == rank and evaluation.at > mine.at) then m.evaluation = evaluation end
  end
  local received_at = other.received_at
  if not m.received_at or (received_at and received_at < m.received_at) then m.received_at = received_at end
  return m
end

-- Sessions are compared by their end, or else by their start, with the provider's own times, or with the receipt where
-- they are not known.
local function distance(s, c)
  if s.ended_at then return math.abs(s.ended_at - (c.ended_at or c.received_at)) end
  return math.abs((s.started_at or s.heard_at) - (c.started_at or c.received_at))
end
