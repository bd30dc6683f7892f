-- Takes facts into a user's bucket and decides all links of the facts in it.
--
-- The bucket knows which ranges of time it holds whole (`covered`). A fact may be decided on when
-- everything within the match window of it is here; otherwise the reply says what to read.
--
-- KEYS[1]  the user's bucket: hash {r: replid, revision, covered: ranges, s:<sid>: session fact,
--          c:<cid>: conversation fact with its epoch, x:<cid>: epoch at which the conversation left,
--          v:<sid>: poll view}
-- ARGV[1]  replid of this Redis, as the caller knows it
-- ARGV[2]  TTL in ms
-- ARGV[3]  request: {window: ms, sessions: [fact …], conversations: [fact with epoch …],
--            removed: [{cid, epoch} …], view?: sid, floor: revision that the ledger is known to be at,
--            hydrate?: {revision, covered: ranges, sessions, conversations}, force?: true}
-- Reply    {'HYDRATE', ranges}       ask the ledger for these and call again; of the request
--                                    only `hydrate` was taken
--          {'FULL'}                  more than FACTS_MAX facts within one window; nothing was taken
--          {'OK', revision, decision, view or ''}
--          decision: see sql/0003_apply_decision.sql
--          view: {status: 'started'|'ended'|'linked'|'failed', interviewId, conversationId, evaluationStatus,
--            reason, startedAt?, endedAt?, receivedAt?}

local FACTS_MAX = 64

local key, replid, ttl, request = KEYS[1], ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local window = request.window

local raw = redis.call('HGETALL', key)
local old, sessions, conversations, left_at = {}, {}, {}, {}
for i = 1, #raw, 2 do
  local field, value = raw[i], raw[i + 1]
  old[field] = value
  local kind, id = field:sub(1, 2), field:sub(3)
  if kind == 's:' then
    sessions[id] = cjson.decode(value)
  elseif kind == 'c:' then
    conversations[id] = cjson.decode(value)
  elseif kind == 'x:' then
    left_at[id] = tonumber(value)
  end
end
local covered = {}
if old.r == replid and old.covered then covered = cjson.decode(old.covered) end
local revision = tonumber(old.revision or 0)

local written, changed = {}, false
local function put(field, value)
  written[field] = true
  if old[field] == value then return end
  redis.call('HSET', key, field, value)
  old[field] = value
  changed = true
end

local function take_conversation(fact)
  local epoch, known, cid = fact.epoch or 0, conversations[fact.cid], fact.cid
  if left_at[cid] and epoch < left_at[cid] then return end
  left_at[cid] = nil
  conversations[cid] = merge_conversation(known, fact)
  conversations[cid].epoch = math.max(epoch, known and known.epoch or 0)
end

if request.hydrate then
  local h = request.hydrate
  revision = math.max(revision, h.revision)
  for _, fact in ipairs(h.sessions) do sessions[fact.sid] = merge_session(sessions[fact.sid], fact) end
  for _, fact in ipairs(h.conversations) do take_conversation(fact) end
  for _, r in ipairs(h.covered) do covered = ranges_add(covered, r[1], r[2]) end
  -- kept even if more must be asked for, so that the next call need not bring it again
  for sid, s in pairs(sessions) do put('s:' .. sid, cjson.encode(s)) end
  for cid, c in pairs(conversations) do put('c:' .. cid, cjson.encode(c)) end
  put('r', replid)
  put('covered', ranges_json(covered))
  put('revision', string.format('%.0f', revision))
  redis.call('PEXPIRE', key, ttl)
  written = {}
end

local touched = {} -- ids of the facts that this request brought
local gone = {}
for _, fact in ipairs(request.sessions) do
  sessions[fact.sid] = merge_session(sessions[fact.sid], fact)
  touched['s:' .. fact.sid] = true
end
for _, fact in ipairs(request.conversations) do
  take_conversation(fact)
  touched['c:' .. fact.cid] = true
end
for _, removed in ipairs(request.removed) do
  local cid, known = removed.cid, conversations[removed.cid]
  if not known or known.epoch <= removed.epoch then
    conversations[cid] = nil
    left_at[cid] = math.max(left_at[cid] or 0, removed.epoch)
    gone[#gone + 1] = removed
  end
end

-- Everything that could compete with a fact must be here before it is decided on.
local missing, now = {}, now_ms()
local function require_around(low, high)
  if ranges_hold(covered, math.max(low - window, 0), math.min(high + window, FAR)) then return end
  high = high + 2 * window
  -- what is still to come will come through this bucket
  if high >= now then high = FAR end
  missing = ranges_add(missing, math.max(low - 2 * window, 0), high)
end
for _, s in pairs(sessions) do require_around(session_time(s), session_time(s)) end
for _, c in pairs(conversations) do
  require_around(math.min(conversation_start(c), conversation_end(c)), conversation_end(c))
end
if #missing > 0 and not request.force then return {'HYDRATE', ranges_json(missing)} end

-- Whole groups that nothing in this request can touch leave a crowded bucket, the oldest first.
local function groups_of_facts()
  local facts, parent = {}, {}
  for sid, s in pairs(sessions) do
    facts[#facts + 1] = {field = 's:' .. sid, low = session_time(s), high = session_time(s)}
  end
  for cid, c in pairs(conversations) do
    facts[#facts + 1] = {field = 'c:' .. cid, low = math.min(conversation_start(c), conversation_end(c)),
      high = conversation_end(c)}
  end
  local function root(field)
    while parent[field] ~= field do field = parent[field] end
    return field
  end
  for _, f in ipairs(facts) do parent[f.field] = f.field end
  table.sort(facts, function(a, b) return a.low < b.low end)
  local reach, previous
  for _, f in ipairs(facts) do
    if reach and f.low <= reach + window then parent[root(f.field)] = root(previous) end
    reach = math.max(reach or f.high, f.high)
    previous = f.field
  end
  for sid, s in pairs(sessions) do
    if s.claim and conversations[s.claim] then parent[root('s:' .. sid)] = root('c:' .. s.claim) end
  end
  for cid, c in pairs(conversations) do
    if c.named_session and sessions[c.named_session] then
      parent[root('c:' .. cid)] = root('s:' .. c.named_session)
    end
  end
  local groups = {}
  for _, f in ipairs(facts) do
    local id = root(f.field)
    local g = groups[id] or {size = 0, low = f.low, high = f.high, facts = {}}
    groups[id] = g
    g.size = g.size + 1
    g.high = math.max(g.high, f.high)
    g.touched = g.touched or touched[f.field]
    g.facts[#g.facts + 1] = f
  end
  return groups, #facts
end

local fact_count = 0
for _ in pairs(sessions) do fact_count = fact_count + 1 end
for _ in pairs(conversations) do fact_count = fact_count + 1 end
if fact_count > FACTS_MAX then
  local groups, others = groups_of_facts(), {}
  for _, g in pairs(groups) do
    if g.touched and g.size > FACTS_MAX then return {'FULL'} end
    if not g.touched then others[#others + 1] = g end
  end
  table.sort(others, function(a, b) return a.low < b.low end)
  for _, g in ipairs(others) do
    if fact_count <= FACTS_MAX then break end
    for _, f in ipairs(g.facts) do
      local facts = f.field:sub(1, 2) == 's:' and sessions or conversations
      facts[f.field:sub(3)] = nil
      covered = ranges_subtract(covered, f.low, f.high)
    end
    fact_count = fact_count - g.size
  end
end

local links = link(sessions, conversations, window)
local function view_of(s, l)
  local c = l and conversations[l.cid]
  local view = {interviewId = cjson.null, conversationId = l and l.cid or s.claim or cjson.null,
    evaluationStatus = cjson.null, reason = cjson.null, startedAt = s.started_at, endedAt = s.ended_at}
  if c then
    local evaluation = c.evaluation or {status = 'pending'}
    view.status = c.failure and 'failed' or 'linked'
    view.interviewId = c.id
    view.evaluationStatus = evaluation.status
    view.reason = c.failure or evaluation.reason or cjson.null
    view.receivedAt = c.received_at
  else
    view.status = s.ended_at and 'ended' or 'started'
  end
  return cjson.encode(view)
end

local decided_sessions, decided_conversations = {}, {}
for sid, s in pairs(sessions) do
  local l = links[sid]
  decided_sessions[#decided_sessions + 1] = {sid = sid, cid = l and l.cid, evidence = l and l.evidence,
    started_at = s.started_at, ended_at = s.ended_at, claim = s.claim}
  put('s:' .. sid, cjson.encode(s))
  put('v:' .. sid, view_of(s, l))
end
for cid, c in pairs(conversations) do
  decided_conversations[#decided_conversations + 1] = {cid = cid, hash = c.hash, epoch = c.epoch}
  put('c:' .. cid, cjson.encode(c))
end
for cid, epoch in pairs(left_at) do put('x:' .. cid, string.format('%.0f', epoch)) end
put('covered', ranges_json(covered))

-- what was pruned or has left
for field in pairs(old) do
  local kind = field:sub(1, 2)
  if (kind == 's:' or kind == 'c:' or kind == 'x:' or kind == 'v:') and not written[field] then
    redis.call('HDEL', key, field)
    changed = true
  end
end
-- A decision that changes nothing keeps its revision: those who find theirs overtaken and ask again
-- all come back with the one that is in force, and need not overtake each other.
if changed or revision == 0 or revision < request.floor then
  revision = math.max(revision + 1, now, request.floor + 1)
  put('revision', string.format('%.0f', revision))
end
redis.call('PEXPIRE', key, ttl)

return {'OK', string.format('%.0f', revision),
  '{"sessions":' .. json_array(decided_sessions) .. ',"conversations":' .. json_array(decided_conversations)
    .. ',"gone":' .. json_array(gone) .. '}',
  request.view and written['v:' .. request.view] and old['v:' .. request.view] or ''}
