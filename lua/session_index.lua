-- Whose a sid is, and which conversations name it.
-- uses emptied hash order facts journal
--
-- KEYS[1]  the sid's entry: hash {r: replid it was filled under, s: session fact, n: [cid …] that name it}
-- KEYS[2]  when its partition was found empty (emptied_at)
-- KEYS[3]  the partition's journal and KEYS[4] its bytes (lua/journal.lua), if ARGV[5]
-- ARGV[1]  replid of this Redis, as the caller knows it
-- ARGV[2]  TTL in ms
-- ARGV[3]  the sid
-- ARGV[4]  a conversation that names the sid, or ''
-- ARGV[5]  '1' if the ledger can't be asked
-- ARGV[6]  '1' if the time is wanted
-- ARGV[7]  '1' if what is told is to go into the journal as well
-- ARGV[8]  a save, stamped here: {user, agent?, claim?, ended_by?, ended_ago?}, or ''
-- ARGV[9]  a save that was stamped before: session fact, or ''
-- ARGV[10] what the ledger knows: {session?, named_by}, or ''
--          (empty words at the end may be left out)
-- Reply    {'HYDRATE'}                       nothing was changed: ask the ledger and call again
--          {'CONFLICT'}                      another user owns the sid; nothing was changed
--          {'OK', session fact or '', [cid …], emptied_at, now if wanted, claim that the merge replaced,
--           entry in the journal, bytes of the journal}   '' for what isn't there, nothing at the end

local NAMED_BY_MAX = 64

local key, replid, sid, journaled = KEYS[1], ARGV[1], ARGV[3], ARGV[7] == '1'
local named_by, save, fact, hydrate = ARGV[4] or '', ARGV[8] or '', ARGV[9] or '', ARGV[10] or ''
local entry = redis.call('HMGET', key, 'r', 's', 'n')
local told, names, hydrated = entry[2], entry[3] or '[]', entry[1] == replid
if not hydrated and hydrate == '' and ARGV[5] ~= '1' then return {'HYDRATE'} end

hydrate = hydrate ~= '' and not hydrated and cjson.decode(hydrate)

-- Who names it: mostly nobody or one.
local function with_names(more, most)
  local list, known = cjson.decode(names), {}
  for _, cid in ipairs(list) do known[cid] = true end
  for _, cid in ipairs(more) do
    if not known[cid] and #list < most then
      known[cid] = true
      list[#list + 1] = cid
    end
  end
  return list[1] and encode(list) or '[]'
end
if hydrate and hydrate.named_by[1] then names = with_names(hydrate.named_by, math.huge) end
if named_by ~= '' then
  -- beyond the bound the session will not be told; the conversation itself still asks for its owner
  local alone = '[' .. encode(named_by) .. ']'
  if names == '[]' then names = alone elseif names ~= alone then names = with_names({named_by}, NAMED_BY_MAX) end
end

-- Whose it is. What is only passed on is not read.
local replaced, stamped
local now = (save ~= '' or ARGV[6] == '1') and math.floor(clock_us() / 1000)
if save ~= '' or fact ~= '' or hydrate then
  local session = told and cjson.decode(told) or nil
  if hydrate then
    -- the ledger's word on the owner stands: Redis may have been emptied in between
    if hydrate.session and session and hydrate.session.user ~= session.user then session = nil end
    session = merge_session(session, hydrate.session)
  end
  fact = fact ~= '' and cjson.decode(fact) or nil
  if save ~= '' then
    save = cjson.decode(save)
    fact = {sid = sid, user = save.user, heard_at = now}
    -- what was heard before stays, be it in the same millisecond or by a clock that went back
    if save.agent and not (session and session.agent) then fact.agent, fact.agent_at = save.agent, now end
    if save.claim and not (session and session.claim) then fact.claim, fact.claim_at = save.claim, now end
    if save.ended_by then
      fact.ended_at, fact.ended_by = now - (save.ended_ago or 0), save.ended_by
    else
      fact.started_at = now
    end
  end
  if fact then
    if session and session.user ~= fact.user then return {'CONFLICT'} end
    local merged = merge_session(session, fact)
    if session and session.claim and session.claim ~= merged.claim then replaced = session.claim end
    stamped = merged ~= fact and journaled and encode_session(fact) or nil
    session = merged
  end
  told = session and encode_session(session)
  stamped = stamped or fact and told
end

-- `entry` is a list: no name stands in it
if hydrate then put(entry, 'r', replid) end
if told and told ~= entry[2] then put(entry, 's', told) end
if names ~= (entry[3] or '[]') then put(entry, 'n', names) end
write_fields(key)
keep_for(ARGV[2], key, not (entry[1] or entry[2] or entry[3]))

local entry_id, bytes
if stamped and journaled then
  entry_id, bytes = journal_add(KEYS[3], KEYS[4], #sid + #stamped, 'kind', 'save', 'subject', sid, 'fact', stamped)
end
replaced = replaced or entry_id and ''
return {'OK', told or '', names, emptied_at(KEYS[2]), now or replaced and '' or nil, replaced, entry_id, bytes}
