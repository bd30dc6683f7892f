-- Shared: facts of conversations, how they merge, and how far they are from a session.

local function encode_evaluation(e)
  return '"evaluation":{"at":' .. digits(e.at) .. (e.reason and ',"reason":' .. encode(e.reason) or '')
    .. ',"status":' .. encode(e.status) .. '},'
end

-- As encode_session(). The epoch stands first: a caller sets it before a fact that has none.
local function encode_conversation(c)
  return (c.epoch and '{"epoch":' .. digits(c.epoch) .. ',' or '{')
    .. (c.agent and '"agent":' .. encode(c.agent) .. ',' or '') .. '"cid":' .. encode(c.cid)
    .. (c.ended_at and ',"ended_at":' .. digits(c.ended_at) .. ',' or ',')
    .. (c.evaluation and encode_evaluation(c.evaluation) or '')
    .. '"event_at":' .. digits(c.event_at) .. (c.failure and ',"failure":' .. encode(c.failure) or '')
    .. ',"final":' .. digits(c.final) .. ',"hash":' .. encode(c.hash) .. ',"id":' .. encode(c.id)
    .. (c.named_session and ',"named_session":' .. encode(c.named_session) or '')
    .. (c.named_user and ',"named_user":' .. encode(c.named_user) or '')
    .. (c.received_at and ',"received_at":' .. digits(c.received_at) or '')
    .. (c.started_at and ',"started_at":' .. digits(c.started_at) or '') .. '}'
end

local EVALUATION_RANK = {pending = 1, failed = 2, complete = 3}

local function greater_evaluation(a, b)
  if not a then return b end
  if not b then return a end
  local ra, rb = EVALUATION_RANK[a.status], EVALUATION_RANK[b.status]
  if rb > ra or (rb == ra and b.at > a.at) then return b end
  return a
end

local function is_greater_content(a, b)
  if a.final ~= b.final then return a.final > b.final end
  if a.event_at ~= b.event_at then return a.event_at > b.event_at end
  return before(b.hash, a.hash)
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
  m.evaluation = greater_evaluation(m.evaluation, evaluation)
  m.received_at = least(a.received_at, b.received_at)
  return m
end

-- The provider's own times, or the receipt where they are not known.
local function conversation_start(c) return c.started_at or c.received_at end
local function conversation_end(c) return c.ended_at or c.received_at end
local function distance(s, c)
  if s.ended_at then return math.abs(s.ended_at - conversation_end(c)) end
  return math.abs(session_time(s) - conversation_start(c))
end

-- An id that only the provider can have made; other claims do not keep a session out of the window match.
local function is_strong(claim) return claim:find('^conv_[A-Za-z0-9]+$') ~= nil end

-- Smaller distance first, then the smaller id.
local function nearer(d, id, best_d, best_id)
  return not best_d or d < best_d or (d == best_d and before(id, best_id))
end
