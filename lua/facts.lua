-- Shared by all scripts: facts, how they merge, and what follows from them.
--
-- session fact       {sid, user, heard_at, agent?, agent_at?, claim?, claim_at?, started_at?, ended_at?, ended_by?}
-- conversation fact  {cid, id, agent, final, event_at, hash, received_at, started_at?, ended_at?, named_session?,
--                     named_user?, failure?, evaluation? {status, reason?, at}}; at is 0 for the provider's own
-- Times are whole milliseconds. A member that is not known is not there.
-- Facts merge by a fixed order, not by arrival: what users say, the earliest heard; what the
-- provider says, whole, the greater of (final, event_at, hash).

-- Bytewise order. Lua's own `<` follows the server's locale.
local function before(a, b)
  local n = math.min(#a, #b)
  for i = 1, n do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- Revisions and epochs are in microseconds: a Redis that was emptied starts them from its clock, and
-- must not come upon a number that it gave in the same millisecond before.
local function now_us()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
local function now_ms() return math.floor(now_us() / 1000) end

-- When this partition was last found empty, in ms: a key that goes with all others when they go.
-- A caller whose facts were on their way to the ledger at that time begins again.
local function emptied_at(key)
  local at = redis.call('GET', key)
  if not at then
    at = string.format('%.0f', now_ms())
    redis.call('SET', key, at)
  end
  return at
end

local function least(a, b)
  if not a or (b and b < a) then return b end
  return a
end

-- True if (at, value) was heard before (other_at, other); without a stamp it was never heard.
local function heard_before(at, value, other_at, other)
  if not at then return false end
  if not other_at then return true end
  return at < other_at or (at == other_at and before(value or '', other or ''))
end

-- A flat object or two of strings and whole numbers: with its members in a fixed order, so that equal
-- facts are equal strings, and with all digits, of which cjson keeps 14.
local function encode_fact(fact)
  local names, parts = {}, {}
  for name in pairs(fact) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    local value = fact[name]
    local text
    if type(value) == 'table' then
      text = encode_fact(value)
    elseif type(value) == 'number' then
      text = string.format('%.0f', value)
    else
      text = cjson.encode(value)
    end
    parts[i] = '"' .. name .. '":' .. text
  end
  return '{' .. table.concat(parts, ',') .. '}'
end

-- An array of facts or strings.
local function json_array(list)
  local parts = {}
  for i, item in ipairs(list) do
    parts[i] = type(item) == 'table' and encode_fact(item) or cjson.encode(item)
  end
  return '[' .. table.concat(parts, ',') .. ']'
end

-- Two facts of one session, or one and nil.
local function merge_session(a, b)
  if not a then return b end
  if not b then return a end
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
-- The moment that a session is compared by.
local function session_time(s) return s.ended_at or s.started_at or s.heard_at end

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
