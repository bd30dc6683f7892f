-- Takes facts into a user's bucket and decides all links of the facts in it.
--
-- The bucket knows which moments it holds whole (`covered`). What belongs together with a fact may be
-- decided on when everything within the match window of it is here; otherwise the reply says what to
-- read. Groups that are not covered are not kept: who asks for them brings them back. A fact that only
-- the journal holds can't be brought back, and is pinned: its group stays, for the views' sake, and is
-- left out of decisions until it is covered.
-- uses clock facts conversations ranges link groups
--
-- KEYS[1]  the user's bucket: hash {r: replid, revision, covered: ranges, s:<sid>: session fact,
--          c:<cid>: conversation fact with its epoch, x:<cid>: epoch at which the conversation left,
--          v:<sid>: poll view, p:s:<sid> or p:c:<cid>: '1' while that fact is pinned}
-- KEYS[2]  when its partition was found empty (emptied_at)
-- ARGV[1]  replid of this Redis, as the caller knows it
-- ARGV[2]  TTL in ms
-- ARGV[3]  request: {window: ms, removed: [{cid, epoch, fact} …], view?: sid, floor: revision that the ledger is known to be at,
--            hydrate: [{revision, covered: ranges, sessions, conversations, gone: [{cid, epoch} …]} …],
--            pin?: 's:<sid>' or 'c:<cid>'  of a fact that the ledger does not have yet,
--            force?: true                  the ledger can't be asked: decide on what is here}
-- ARGV[4]  [session fact …], ARGV[5] [conversation fact with epoch …]: what is told
-- Reply    {'HYDRATE', ranges, [cid …]}  nothing was taken: ask the ledger, call again with all it said so far
--          {'FULL'}                      more than WINDOW_MAX facts within one window, or a group of more
--                                        than GROUP_MAX; nothing was taken
--          {'OK', revision, decision, view or '', emptied_at, now}
--          decision: see sql/0003_apply_decision.sql
--          view: {status: 'started'|'ended'|'linked'|'failed', interviewId, conversationId, evaluationStatus,
--            reason, startedAt?, endedAt?, receivedAt?}

local WINDOW_MAX, GROUP_MAX, BUCKET_MAX = 64, 256, 64

local key, replid, ttl, request = KEYS[1], ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local window = request.window

-- ── what is here, and what the ledger said ──

local raw = redis.call('HGETALL', key)
local old, sessions, conversations, left_at, pinned = {}, {}, {}, {}, {}
local text = {} -- {field: the fact as it stands in the bucket}, of those that are still the same
-- mostly one session is told of, which stands there as it is, and one new conversation
local only_session, only_conversation, known_session = ARGV[4]:sub(2, -2), ARGV[5]:sub(2, -2), nil
for i = 1, #raw, 2 do
  local field, value = raw[i], raw[i + 1]
  old[field] = value
  local kind, id = field:sub(1, 2), field:sub(3)
  if kind == 's:' then
    sessions[id] = cjson.decode(value)
    if value == only_session then known_session = field end
    text[field] = value
  elseif kind == 'c:' then
    conversations[id] = cjson.decode(value)
    text[field] = value
  elseif kind == 'x:' then
    left_at[id] = tonumber(value)
  elseif kind == 'p:' then
    pinned[id] = true
  end
end
-- what another generation of Redis covered may have missed what that one lost
local same_generation = old.r == replid
local covered = same_generation and cjson.decode(old.covered) or {}
local revision = tonumber(old.revision or 0)

-- Conversations whose owner may have changed while we did not look.
local ask_about = {}
if not same_generation then
  for cid in pairs(conversations) do ask_about[#ask_about + 1] = cid end
end

local function take_conversation(fact)
  local epoch, known, cid = fact.epoch or 0, conversations[fact.cid], fact.cid
  if left_at[cid] and epoch <= left_at[cid] then return end
  left_at[cid] = nil
  text['c:' .. cid] = nil
  local known_epoch = known and known.epoch or 0
  conversations[cid] = merge_conversation(known, fact)
  conversations[cid].epoch = math.max(epoch, known_epoch)
end

local function take_session(fact)
  sessions[fact.sid] = merge_session(sessions[fact.sid], fact)
  text['s:' .. fact.sid] = nil
end

local function drop_conversation(cid, epoch)
  conversations[cid] = nil
  left_at[cid] = math.max(left_at[cid] or 0, epoch)
end

local heard = {} -- ids that the ledger had before this request; those that the bucket had are in `old`
for _, h in ipairs(request.hydrate) do
  revision = math.max(revision, h.revision)
  for _, fact in ipairs(h.sessions) do
    take_session(fact)
    heard['s:' .. fact.sid] = true
  end
  for _, fact in ipairs(h.conversations) do
    take_conversation(fact)
    heard['c:' .. fact.cid] = true
  end
  for _, g in ipairs(h.gone) do
    local known = conversations[g.cid]
    if known and known.epoch < g.epoch then drop_conversation(g.cid, g.epoch) end
  end
  for _, r in ipairs(h.covered) do covered = ranges_add(covered, r[1], r[2]) end
end

-- ── what is new ──

local touched, gone, ghosts = {}, {}, {}
if known_session and text[known_session] then
  touched[known_session] = true
else
  for _, fact in ipairs(cjson.decode(ARGV[4])) do
    take_session(fact)
    touched['s:' .. fact.sid] = true
  end
end
local told = cjson.decode(ARGV[5])
for _, fact in ipairs(told) do
  local field = 'c:' .. fact.cid
  if #told > 1 or text[field] ~= only_conversation then
    local known = conversations[fact.cid]
    take_conversation(fact)
    -- a single new one is kept as it was told: conversation_index encoded it
    if not known and #told == 1 and conversations[fact.cid] then text[field] = only_conversation end
  end
  if conversations[fact.cid] then touched[field] = true end
end
for _, removed in ipairs(request.removed) do
  local known = conversations[removed.cid]
  if not known or known.epoch <= removed.epoch then
    drop_conversation(removed.cid, removed.epoch)
    gone[#gone + 1] = '{"cid":' .. encode(removed.cid) .. ',"epoch":' .. digits(removed.epoch) .. '}'
    -- it still has its neighbours looked at once more
    ghosts[removed.cid] = known or removed.fact
    ask_about[#ask_about + 1] = removed.cid
  end
end

-- ── what belongs together, and whether all of it is here ──

for cid, fact in pairs(ghosts) do
  conversations[cid] = fact
  touched['c:' .. cid] = true
end
if request.pin and touched[request.pin] then pinned[request.pin] = true end
local groups = group_facts(sessions, conversations, touched, window)

local function is_covered(at)
  return ranges_hold(covered, math.max(at - window, 0), math.min(at + window, FAR))
end

local missing = {}
local margin = 3 * math.max(window, 600000) * 2 ^ #request.hydrate -- long chains are read in few rounds
local function require_around(at)
  local high = at + window + margin
  -- what is still to come will come through this bucket
  if high >= now_ms then high = FAR end
  missing = ranges_add(missing, math.max(at - window - margin, 0), math.max(high, at))
end

local kept, fact_count, decided = {}, 0, {}
local function forget(group)
  for _, f in ipairs(group.facts) do
    covered = ranges_subtract(ranges_subtract(covered, f.first, f.first), f.last, f.last)
    local facts = f.fact.cid and conversations or sessions
    facts[f.field:sub(3)] = nil
  end
end
for _, g in ipairs(groups) do
  local whole = true
  for _, f in ipairs(g.facts) do
    g.pinned = g.pinned or pinned[f.field]
    local first_covered = is_covered(f.first)
    local last_covered = f.last == f.first and first_covered or f.last ~= f.first and is_covered(f.last)
    if g.touched then
      if not first_covered then require_around(f.first) end
      if not last_covered then require_around(f.last) end
    end
    whole = whole and first_covered and last_covered
  end
  if g.touched or whole or g.pinned or request.force then
    kept[#kept + 1] = g
    fact_count = fact_count + #g.facts
    if g.touched or whole then
      for _, f in ipairs(g.facts) do decided[f.field] = true end
    end
  else
    forget(g)
  end
end
if #missing > 0 and not request.force then return {'HYDRATE', ranges_json(missing), ask_about[1] and encode(ask_about) or '[]'} end

-- ── what is too much ──

local function crowd_around(fact)
  local count = 0
  for _, g in ipairs(kept) do
    for _, f in ipairs(g.facts) do
      if math.min(math.abs(f.first - fact.first), math.abs(f.last - fact.last)) <= window then count = count + 1 end
    end
  end
  return count
end
for _, g in ipairs(fact_count > WINDOW_MAX and kept or {}) do
  for _, f in ipairs(g.facts) do
    if touched[f.field] and not old[f.field] and not heard[f.field] and (#g.facts > GROUP_MAX or crowd_around(f) > WINDOW_MAX) then
      return {'FULL'}
    end
  end
end
if fact_count > BUCKET_MAX then table.sort(kept, function(a, b) return a.low < b.low end) end
for _, g in ipairs(kept) do
  if fact_count <= BUCKET_MAX then break end
  if not g.touched and not g.pinned then
    forget(g)
    fact_count = fact_count - #g.facts
  end
end
for cid in pairs(ghosts) do conversations[cid] = nil end

-- ── the decision ──

local links = link(sessions, conversations, window)

-- In one expression each, as facts are encoded.
local function view_of(s, l)
  local c = l and conversations[l.cid]
  local evaluation = c and (c.evaluation or {status = 'pending'})
  local reason = c and (c.failure or evaluation.reason)
  local cid = l and l.cid or s.claim
  return '{"conversationId":' .. (cid and encode(cid) or 'null')
    .. (s.ended_at and ',"endedAt":' .. digits(s.ended_at) or '')
    .. ',"evaluationStatus":' .. (c and encode(evaluation.status) or 'null')
    .. ',"interviewId":' .. (c and encode(c.id) or 'null')
    .. ',"reason":' .. (reason and encode(reason) or 'null')
    .. (c and ',"receivedAt":' .. digits(c.received_at) or '')
    .. ',"startedAt":' .. digits(s.started_at or s.heard_at)
    .. ',"status":"' .. (c and (c.failure and 'failed' or 'linked') or s.ended_at and 'ended' or 'started') .. '"}'
end

local function decided_session(sid, l)
  return '{' .. (l and '"cid":' .. encode(l.cid) .. ',"evidence":"' .. l.evidence .. '",' or '')
    .. '"sid":' .. encode(sid) .. '}'
end

local function decided_conversation(cid, c)
  return '{"cid":' .. encode(cid) .. ',"epoch":' .. digits(c.epoch) .. ',"hash":' .. encode(c.hash)
    .. (touched['c:' .. cid] and ',"own":1}' or '}')
end

local written, changed = {}, {}
local function put(field, value)
  written[field] = true
  if old[field] == value then return end
  changed[#changed + 1], changed[#changed + 2] = field, value
end

local decided_sessions, decided_conversations, asked_view = {}, {}, ''
for sid, s in pairs(sessions) do
  local l = links[sid]
  if decided['s:' .. sid] then
    decided_sessions[#decided_sessions + 1] = decided_session(sid, l)
  end
  local view = view_of(s, l)
  put('s:' .. sid, text['s:' .. sid] or encode_session(s))
  put('v:' .. sid, view)
  if sid == request.view then asked_view = view end
end
for cid, c in pairs(conversations) do
  if decided['c:' .. cid] then
    decided_conversations[#decided_conversations + 1] = decided_conversation(cid, c)
  end
  put('c:' .. cid, text['c:' .. cid] or encode_conversation(c))
end
for cid, epoch in pairs(left_at) do put('x:' .. cid, digits(epoch)) end
if same_generation or #request.hydrate > 0 then
  put('r', replid)
  put('covered', ranges_json(covered))
end
local pins = {}
for field in pairs(pinned) do
  local here = sessions[field:sub(3)]
  if field:sub(1, 2) == 'c:' then here = conversations[field:sub(3)] end
  if not here then
    redis.call('HDEL', key, 'p:' .. field)
  elseif not old['p:' .. field] then
    pins[#pins + 1] = 'p:' .. field
  end
end
-- what was forgotten or has left
local has_left = false
for field in pairs(old) do
  local kind = field:sub(1, 2)
  if (kind == 's:' or kind == 'c:' or kind == 'x:' or kind == 'v:') and not written[field] then
    redis.call('HDEL', key, field)
    has_left = true
  end
end
-- A decision that changes nothing keeps its revision: those who find theirs overtaken and ask again
-- all come back with the one that is in force, and need not overtake each other.
if changed[1] or has_left or revision == 0 or revision < request.floor then
  revision = math.max(revision + 1, now_us, request.floor + 1)
  put('revision', digits(revision))
end
for _, field in ipairs(pins) do changed[#changed + 1], changed[#changed + 2] = field, '1' end
set_fields(key, changed)
redis.call('PEXPIRE', key, ttl)

return {'OK', digits(revision),
  '{"sessions":[' .. table.concat(decided_sessions, ',') .. '],"conversations":[' .. table.concat(decided_conversations, ',')
    .. '],"gone":[' .. table.concat(gone, ',') .. ']}', asked_view, emptied_at(KEYS[2]), digits(now_ms)}
