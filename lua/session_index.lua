-- Whose a sid is, and which conversations name it.
-- uses clock facts journal
--
-- KEYS[1]  the sid's entry: hash {r: replid it was filled under, s: session fact, n: [cid …] that name it}
-- KEYS[2]  when its partition was found empty (emptied_at)
-- KEYS[3]  the partition's journal and KEYS[4] its bytes (lua/journal.lua)
-- ARGV[1]  replid of this Redis, as the caller knows it
-- ARGV[2]  TTL in ms
-- ARGV[3]  request: {sid,
--            save?: {user, agent?, claim?, ended_by?, ended_ago?}  a save, stamped here,
--            fact?: session fact                                   a save that was stamped before,
--            named_by?: cid                                        a conversation names this sid,
--            hydrate?: {session?, named_by}                        what the ledger knows,
--            force?: true                                          the ledger can't be asked}
-- Reply    {'HYDRATE'}                       nothing was changed: ask the ledger and call again
--          {'CONFLICT'}                      another user owns the sid; nothing was changed
--          {'OK', session fact or '', [cid …], claim that the merge replaced or '', emptied_at, now}

local NAMED_BY_MAX = 64

local key, replid, ttl, request = KEYS[1], ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local entry = redis.call('HMGET', key, 'r', 's', 'n')
local hydrated = entry[1] == replid
if not hydrated and not request.hydrate and not request.force then return {'HYDRATE'} end

-- what is only passed on is not read
local news = request.save or request.fact or request.hydrate
local session = news and entry[2] and cjson.decode(entry[2]) or nil
local named_by, known = {}, {}
local function add_name(cid)
  if not known[cid] then
    known[cid] = true
    named_by[#named_by + 1] = cid
  end
end
for _, cid in ipairs(entry[3] and cjson.decode(entry[3]) or {}) do add_name(cid) end

if not hydrated and request.hydrate then
  local h = request.hydrate
  -- the ledger's word on the owner stands: Redis may have been emptied in between
  if h.session and session and h.session.user ~= session.user then session = nil end
  session = merge_session(session, h.session)
  for _, cid in ipairs(h.named_by) do add_name(cid) end
end

local fact = request.fact
if request.save then
  local save, now = request.save, now_ms
  fact = {sid = request.sid, user = save.user, heard_at = now}
  -- what was heard before stays, be it in the same millisecond or by a clock that went back
  local known = session or {}
  if save.agent and not known.agent then fact.agent, fact.agent_at = save.agent, now end
  if save.claim and not known.claim then fact.claim, fact.claim_at = save.claim, now end
  if save.ended_by then
    fact.ended_at, fact.ended_by = now - (save.ended_ago or 0), save.ended_by
  else
    fact.started_at = now
  end
end
if fact and session and session.user ~= fact.user then return {'CONFLICT'} end

local claim_before = session and session.claim
if fact then session = merge_session(session, fact) end
if request.named_by then
  -- beyond the bound the session will not be told; the conversation itself still asks for its owner
  if #named_by < NAMED_BY_MAX then add_name(request.named_by) end
end

local told = news and session and encode_session(session) or entry[2] or ''
local names, changed = named_by[1] and encode(named_by) or '[]', {}
local function put(field, value, before)
  if value ~= before then changed[#changed + 1], changed[#changed + 2] = field, value end
end
if hydrated or request.hydrate then put('r', replid, entry[1]) end
if told ~= '' then put('s', told, entry[2]) end
if #named_by > 0 then put('n', names, entry[3]) end
set_fields(key, changed)
redis.call('PEXPIRE', key, ttl)

local entry_id, bytes = '', nil
if fact and request.journal then
  local text = encode_session(fact)
  entry_id, bytes = journal_add(KEYS[3], KEYS[4], #request.sid + #text, 'kind', 'save', 'subject', request.sid, 'fact', text)
end

local replaced = ''
if claim_before and claim_before ~= session.claim then replaced = claim_before end
return {'OK', told, names, replaced, entry_id, bytes or redis.call('GET', KEYS[4]) or '0', emptied_at(KEYS[2]), digits(now_ms)}
