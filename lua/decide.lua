-- Takes facts into a user's bucket and decides all links of the facts in it.
--
-- The bucket knows which moments it holds whole (`covered`). What belongs together with a fact may be
-- decided on when everything within the match window of it is here; otherwise the reply says what to
-- read. Groups that are not covered are not kept: who asks for them brings them back. A fact that only
-- the journal holds can't be brought back, and is pinned: its group stays, for the views' sake, and is
-- left out of decisions until it is covered.
-- uses emptied hash order facts conversations ranges groups link
--
-- KEYS[1]  the user's bucket: hash {r: replid, revision, covered: ranges, s:<sid>: session fact,
--          c:<cid>: conversation fact with its epoch, x:<cid>: epoch at which the conversation left,
--          v:<sid>: poll view, p:s:<sid> or p:c:<cid>: '1' while that fact is pinned}
-- KEYS[2]  when its partition was found empty (emptied_at)
-- ARGV[1]  replid of this Redis, as the caller knows it
-- ARGV[2]  TTL in ms
-- ARGV[3]  match window in ms
-- ARGV[4]  revision that the ledger is known to be at
-- ARGV[5]  '1' if the ledger can't be asked: decide on what is here
-- ARGV[6]  sid whose view is wanted, or ''
-- ARGV[7]  's:<sid>' or 'c:<cid>' of a fact that the ledger does not have yet, or ''
-- ARGV[8]  what is told: session fact, …; ARGV[9] conversation fact with epoch, …
-- ARGV[10] what has left: {cid, epoch, fact}, …
-- ARGV[11] what the ledger said: {revision, covered: ranges, sessions, conversations, gone: [{cid, epoch} …]}, …
--          (members of a JSON list each, without its brackets)
-- ARGV[12] '1' if the time is wanted
--          (empty words at the end may be left out)
-- Reply    {'HYDRATE', ranges, [cid …]}  nothing was taken: ask the ledger, call again with all it said so far
--          {'FULL'}                      more than WINDOW_MAX facts within one window, or a group of more
--                                        than GROUP_MAX; nothing was taken
--          {'OK', revision, decision, emptied_at, now if wanted, view if wanted}   '' for what isn't there,
--                                        nothing at the end
--          decision: see sql/0006_batches.sql; src/broker/ledger_params.c makes rows of it
--          view: {status: 'started'|'ended'|'linked'|'failed', interviewId, conversationId, evaluationStatus,
--            reason, startedAt?, endedAt?, receivedAt?}

local WINDOW_MAX, GROUP_MAX, BUCKET_MAX = 64, 256, 64

local key, replid, window, floor, forced = KEYS[1], ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
local wanted, pin, only_session, only_conversation = ARGV[6], ARGV[7] or '', ARGV[8] or '', ARGV[9] or ''
local decode, NOTHING = cjson.decode, {}

local function members(list)
  if not list or list == '' then return NOTHING end
  local is_one, fact = pcall(decode, list) -- as mostly
  return is_one and {fact} or decode('[' .. list .. ']')
end

-- ── what is here, and what the ledger said ──

local raw = redis.call('HGETALL', key)
local old, sessions, conversations, left_at = {r = false, covered = false, revision = '0'}, {}, {}, {}
local known_session, known_conversation, has_pins -- mostly one of each is told, which stands there as it is told
for i = 1, #raw, 2 do
  local field, value = raw[i], raw[i + 1]
  old[field] = value
  local kind = field:sub(1, 2)
  if kind == 's:' then
    local s = item_of(field, decode(value), value)
    sessions[s.fact.sid] = s
    if value == only_session then known_session = s end
  elseif kind == 'c:' then
    local c = item_of(field, decode(value), value)
    conversations[c.fact.cid] = c
    if value == only_conversation then known_conversation = c end
  elseif kind == 'x:' then
    left_at[field:sub(3)] = tonumber(value)
  elseif kind == 'p:' then
    has_pins = true
  end
end
-- what another generation of Redis covered may have missed what that one lost
local same_generation = old.r == replid
local covered = same_generation and decode(old.covered) or {}
local revision = tonumber(old.revision)
local hydrates = members(ARGV[11])
local has_left = false -- something may have to go

-- Conversations whose owner may have changed while we did not look.
local ask_about = NOTHING
if not same_generation then
  ask_about = {}
  for cid in next, conversations do ask_about[#ask_about + 1] = cid end
end

-- Both give the item that the fact is in now; none, if the conversation has left since.
local function take_session(fact)
  local known = sessions[fact.sid]
  if not known then
    known = item_of('s:' .. fact.sid)
    sessions[fact.sid] = known
  end
  known.fact, known.text = merge_session(known.fact, fact), nil
  return known
end

local function take_conversation(fact)
  local epoch, cid = fact.epoch or 0, fact.cid
  local known, left = conversations[cid], left_at[cid]
  if left then
    if epoch <= left then return known end
    left_at[cid], has_left = nil, true
  end
  if not known then
    known = item_of('c:' .. cid)
    conversations[cid] = known
  end
  epoch = math.max(epoch, known.fact and known.fact.epoch or 0)
  known.fact, known.text = merge_conversation(known.fact, fact), nil
  known.fact.epoch = epoch
  return known
end

local function drop_conversation(cid, epoch)
  conversations[cid], has_left = nil, true
  left_at[cid] = math.max(left_at[cid] or 0, epoch)
end

local heard = hydrates[1] and {} or NOTHING -- fields that the ledger had before this request; those that the bucket had are in `old`
for _, h in ipairs(hydrates) do
  revision = math.max(revision, h.revision)
  for _, fact in ipairs(h.sessions) do heard[take_session(fact).field] = true end
  for _, fact in ipairs(h.conversations) do
    take_conversation(fact)
    heard['c:' .. fact.cid] = true
  end
  for _, g in ipairs(h.gone) do
    local known = conversations[g.cid]
    if known and known.fact.epoch < g.epoch then drop_conversation(g.cid, g.epoch) end
  end
  for _, r in ipairs(h.covered) do covered = ranges_add(covered, r[1], r[2]) end
end

-- ── what is new ──

if known_session and known_session.text then
  known_session.touched = true
else
  local told = members(only_session)
  for _, fact in ipairs(told) do
    local is_new = not sessions[fact.sid]
    local s = take_session(fact)
    s.touched = true
    -- a single new one is kept as it was told, unless Postgres wrote it (with blanks)
    if is_new and #told == 1 and not only_session:find('": ', 1, true) then s.text = only_session end
  end
end
if known_conversation and known_conversation.text and conversations[known_conversation.fact.cid] then
  known_conversation.touched = true
else
  local told = members(only_conversation)
  for _, fact in ipairs(told) do
    local is_new = not conversations[fact.cid]
    local c = take_conversation(fact)
    if c then
      c.touched = true
      if is_new and #told == 1 then c.text = only_conversation end
    end
  end
end
local gone, ghosts = NOTHING, NOTHING
for _, removed in ipairs(members(ARGV[10])) do
  local cid, known = removed.cid, conversations[removed.cid]
  if not known or known.fact.epoch <= removed.epoch then
    drop_conversation(cid, removed.epoch)
    if gone == NOTHING then gone, ghosts = {}, {} end
    gone[#gone + 1] = '{"cid":' .. encode(cid) .. ',"epoch":' .. format('%d', removed.epoch) .. '}'
    -- it still has its neighbours looked at once more
    ghosts[cid] = known or item_of('c:' .. cid, removed.fact)
    if ask_about == NOTHING then ask_about = {} end
    ask_about[#ask_about + 1] = cid
  end
end

-- ── what belongs together, and whether all of it is here ──

for cid, ghost in next, ghosts do
  conversations[cid], ghost.touched = ghost, true
end
local pinned = pin ~= '' and (pin:sub(1, 2) == 's:' and sessions or conversations)[pin:sub(3)]
if pinned and pinned.touched then pinned.pinned = true else pinned = nil end
if has_pins then
  for _, s in next, sessions do s.pinned = s.pinned or old['p:' .. s.field] end
  for _, c in next, conversations do c.pinned = c.pinned or old['p:' .. c.field] end
end
local items = group_facts(sessions, conversations, window)

local missing = NOTHING
for i = 1, #items do
  local f = items[i]
  local g = f.group or f
  local at = not (forced and g.any_touched) and f.first -- that is decided on as it is
  while at do
    if not ranges_hold(covered, at, window) then
      g.partial = true
      if g.any_touched then
        local margin = 3 * math.max(window, 600000) * 2 ^ #hydrates -- long chains are read in few rounds
        local high = at + window + margin
        -- what is still to come will come through this bucket
        if high >= clock_us() / 1000 then high = FAR end
        missing = ranges_add(missing, math.max(at - window - margin, 0), math.max(high, at))
      end
    end
    at = at ~= f.last and f.last
  end
end
if missing[1] and not forced then return {'HYDRATE', ranges_json(missing), ask_about[1] and encode(ask_about) or '[]'} end

local fact_count, forgotten = 0, {}
for i = 1, #items do
  local f = items[i]
  local g = f.group or f
  if g.any_touched or not g.partial then
    f.decided = true
    fact_count = fact_count + 1
  elseif g.any_pinned or forced then
    fact_count = fact_count + 1
  else
    forgotten[#forgotten + 1] = f
  end
end

-- ── what is too much ──

if fact_count > WINDOW_MAX then
  local kept, groups, group_of = {}, {}, {}
  for _, f in ipairs(items) do
    local g = f.group or f
    if g.any_touched or not g.partial or g.any_pinned or forced then
      kept[#kept + 1] = f
      local group = group_of[g]
      if not group then
        group = {low = f.first, stays = g.any_touched or g.any_pinned}
        group_of[g], groups[#groups + 1] = group, group
      end
      group[#group + 1] = f
      group.low = math.min(group.low, f.first)
    end
  end
  local function crowd_around(fact)
    local count = 0
    for _, f in ipairs(kept) do
      if math.min(math.abs(f.first - fact.first), math.abs(f.last - fact.last)) <= window then count = count + 1 end
    end
    return count
  end
  for _, f in ipairs(kept) do
    if f.touched and not old[f.field] and not heard[f.field]
        and (#group_of[f.group or f] > GROUP_MAX or crowd_around(f) > WINDOW_MAX) then
      return {'FULL'}
    end
  end
  table.sort(groups, function(a, b) return a.low < b.low end)
  for _, group in ipairs(groups) do
    if fact_count <= BUCKET_MAX then break end
    if not group.stays then
      for _, f in ipairs(group) do forgotten[#forgotten + 1] = f end
      fact_count = fact_count - #group
    end
  end
end
local covered_before = covered
for i = 1, #forgotten do
  local f = forgotten[i]
  local fact = f.fact
  covered, has_left = ranges_subtract(ranges_subtract(covered, f.first, f.first), f.last, f.last), true
  if fact.cid then conversations[fact.cid] = nil else sessions[fact.sid] = nil end
end
for cid in next, ghosts do conversations[cid] = nil end

-- ── the decision ──

link(sessions, conversations, window)

-- In one expression each, as facts are encoded; what is ours needs no escaping.
local function view_of(s, c, cid)
  local evaluation = c and (c.evaluation or {status = 'pending'})
  local reason = c and (c.failure or evaluation.reason)
  return '{"conversationId":' .. (cid or s.claim and encode(s.claim) or 'null')
    .. (s.ended_at and ',"endedAt":' .. format('%d', s.ended_at) or '')
    .. (c and ',"evaluationStatus":"' .. evaluation.status .. '","interviewId":"' .. c.id .. '","reason":'
      or ',"evaluationStatus":null,"interviewId":null,"reason":')
    .. (reason and encode(reason) or 'null')
    .. (c and ',"receivedAt":' .. format('%d', c.received_at) or '')
    .. ',"startedAt":' .. format('%d', s.started_at or s.heard_at)
    .. ',"status":"' .. (c and (c.failure and 'failed' or 'linked') or s.ended_at and 'ended' or 'started') .. '"}'
end

local function joined(list)
  return list[2] and table.concat(list, ',') or list[1] or ''
end

local decided_sessions, decided_conversations, asked_view = {nil}, {nil}, nil
for sid, s in next, sessions do
  local c = s.other and s.other.fact
  local cid = c and encode(c.cid)
  if c then s.other.id = cid end -- as JSON
  if s.decided then
    decided_sessions[#decided_sessions + 1] = (c and '{"cid":' .. cid .. ',"evidence":"' .. s.evidence .. '","sid":' or '{"sid":')
      .. encode(sid) .. '}'
  end
  local view = view_of(s.fact, c, cid)
  put(old, s.field, s.text or encode_session(s.fact))
  put(old, 'v:' .. sid, view)
  if sid == wanted then asked_view = view end
end
for cid, c in next, conversations do
  local fact = c.fact
  if c.decided then
    decided_conversations[#decided_conversations + 1] = '{"cid":' .. (c.id or encode(cid))
      .. ',"epoch":' .. format('%d', fact.epoch) .. ',"hash":"' .. fact.hash .. (c.touched and '","own":1}' or '"}')
  end
  put(old, c.field, c.text or encode_conversation(fact))
end
for cid, epoch in next, left_at do put(old, 'x:' .. cid, format('%d', epoch)) end
if hydrates[1] then put(old, 'r', replid) end
if hydrates[1] or covered ~= covered_before and same_generation then put(old, 'covered', ranges_json(covered)) end
-- what was forgotten or has left
if has_left then
  has_left = false
  for field in next, old do
    local kind, here = field:sub(1, 2), true
    if kind == 's:' or kind == 'v:' then
      here = sessions[field:sub(3)]
    elseif kind == 'c:' then
      here = conversations[field:sub(3)]
    elseif kind == 'x:' then
      here = left_at[field:sub(3)]
    elseif kind == 'p:' and not (field:sub(3, 4) == 's:' and sessions or conversations)[field:sub(5)] then
      redis.call('HDEL', key, field)
    end
    if not here then
      redis.call('HDEL', key, field)
      has_left = true
    end
  end
end
-- A decision that changes nothing keeps its revision: those who find theirs overtaken and ask again
-- all come back with the one that is in force, and need not overtake each other.
if new_count > 0 or has_left or revision == 0 or revision < floor then
  -- in one generation nobody gave a greater one; another may have
  local least = same_generation and 0 or clock_us()
  revision = format('%d', math.max(revision + 1, least, floor + 1))
  put(old, 'revision', revision)
else
  revision = format('%d', revision)
end
if pinned and (pinned.fact.cid and conversations[pinned.fact.cid] or sessions[pinned.fact.sid]) then put(old, 'p:' .. pin, '1') end
write_fields(key)
keep_for(ARGV[2], key, raw[1] == nil)

local now = ARGV[12] == '1' and math.floor(clock_us() / 1000) or asked_view and '' or nil
return {'OK', revision, '{"sessions":[' .. joined(decided_sessions) .. '],"conversations":[' .. joined(decided_conversations)
  .. '],"gone":[' .. joined(gone) .. ']}', emptied_at(KEYS[2]), now, asked_view}
