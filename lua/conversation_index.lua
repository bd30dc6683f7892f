-- Whose a conversation is: the named user, else the owner of the named session, else the user with
-- the earliest claim whose session lies within the match window.
-- uses emptied hash order facts conversations
--
-- The holder is the user whose bucket the conversation is in. It changes here from nobody to
-- the owner; from one user to another only by `settle`, after it was taken out of the
-- former's bucket, so that a caller who dies in between is repeated whole. The epoch grows with
-- each change of that mind: buckets refuse what is older than what they know.
--
-- KEYS[1]  the conversation's entry: hash {r: replid, c: conversation fact, h: holder, e: epoch,
--          l: set while it is to leave the holder, k:<sid>: session fact of a session that claims it, o:<sid>: owner of a session that it names}
-- KEYS[2]  when its partition was found empty (emptied_at)
-- ARGV[1]  replid of this Redis, as the caller knows it
-- ARGV[2]  TTL in ms
-- ARGV[3]  match window in ms
-- ARGV[4]  '1' if claim_unowned
-- ARGV[5]  '1' if the ledger can't be asked
-- ARGV[6]  a session that it may name and ARGV[7] the owner of that, or ''
-- ARGV[8]  what is told: a conversation fact with its members as encode_conversation() has them, or ''
-- ARGV[9]  what the ledger knows, or '': {content?, claims, holder?, named_owner?}; its content is told as well
-- ARGV[10] what else, or '': {
--            check?: user           would a claim of this user be refused?
--            claim?: session fact   a session claims this conversation, or has more to say
--            unclaim?: sid          it claims another one instead
--            content?: conversation fact, its members in any order
--            settle?: user}         the conversation has left this user's bucket
-- ARGV[11] '1' if the time is wanted
--          (empty words at the end may be left out)
-- Reply    {'HYDRATE'}              nothing was changed: ask the ledger and call again
--          {'CONFLICT'}             (check) it is another user's
--          {'FULL'}                 too many sessions claim it, and no name decides; nothing was changed
--          {'OK', owner or '', epoch, emptied_at, now if wanted or '', conversation fact or '', former holder,
--           [session fact …]}       '' for what isn't there, nothing at the end
--          the sessions are the owner's that claim it

local CLAIMS_MAX = 64

local key, replid, named_sid = KEYS[1], ARGV[1], ARGV[6] or ''
local told, hydrate, asks = ARGV[8] or '', ARGV[9] or '', ARGV[10] or ''
local raw = redis.call('HGETALL', key)
local entry, claims, claim_count = {r = false, c = false, e = false, h = false, l = false}, {}, 0
for i = 1, #raw, 2 do
  local field, value = raw[i], raw[i + 1]
  entry[field] = value
  if field:sub(1, 2) == 'k:' then
    claims[field:sub(3)] = cjson.decode(value)
    claim_count = claim_count + 1
  end
end
local hydrated = entry.r == replid
if not hydrated and hydrate == '' and ARGV[5] ~= '1' then return {'HYDRATE'} end

hydrate = hydrate ~= '' and cjson.decode(hydrate)
asks = asks ~= '' and cjson.decode(asks) or {}
local holder, epoch = entry.h, tonumber(entry.e or 0)

-- ── what is told ──

-- The content stays the text that it is as long as nothing is merged with it or looked up in it.
local text, content = entry.c, nil
local function read_content()
  if text and not content then content = cjson.decode(text) end
  return content
end
local function merge_content(fact)
  content, text = merge_conversation(read_content(), fact), nil
end

local set = {} -- claims that are not what they were
local function set_claim(fact)
  local known = claims[fact.sid]
  if not known then claim_count = claim_count + 1 end
  if known and known.user ~= fact.user then known = nil end
  claims[fact.sid], set[fact.sid] = merge_session(known, fact), true
end

local function set_owner(sid, user)
  local field = 'o:' .. sid
  put(entry, field, user)
  entry[field] = user
end

if hydrate and hydrate.content then merge_content(hydrate.content) end
if hydrate and not hydrated then
  local c = hydrate.content
  for _, fact in ipairs(hydrate.claims) do set_claim(fact) end
  -- of two words on the holder the one of the later epoch: this Redis may have come back older
  if not entry.e or (c and c.epoch > epoch) then holder = hydrate.holder end
  epoch = math.max(epoch + 1, clock_us(), c and c.epoch + 1 or 0)
  if c and c.named_session and hydrate.named_owner then set_owner(c.named_session, hydrate.named_owner) end
end
if told ~= '' and told ~= text then
  if text or content then merge_content(cjson.decode(told)) else text = told end
end
if asks.content then merge_content(asks.content) end
if named_sid ~= '' then set_owner(named_sid, ARGV[7]) end

local owner
-- a quote within a value has a backslash before it: this can only be that member
local at = text and text:find('named_user":"', 1, true)
if at then
  owner = text:sub(at + 13, at + 48)
else
  local c = read_content()
  owner = c and (c.named_user or c.named_session and entry['o:' .. c.named_session])
end

if asks.claim then
  if claims[asks.claim.sid] or claim_count < CLAIMS_MAX then
    set_claim(asks.claim)
  elseif not owner then
    return {'FULL'}
  end
end
if asks.unclaim and claims[asks.unclaim] then
  claims[asks.unclaim] = nil
  redis.call('HDEL', key, 'k:' .. asks.unclaim)
end

-- ── whose it is ──

if not owner and ARGV[4] == '1' and read_content() then
  local first, window = nil, tonumber(ARGV[3])
  for _, s in pairs(claims) do
    if distance(s, content) <= window and (not first
        or s.claim_at < first.claim_at or (s.claim_at == first.claim_at and before(s.sid, first.sid))) then
      first = s
    end
  end
  owner = first and first.user
end

if asks.settle and holder == asks.settle and holder ~= owner then
  holder = nil
  epoch = epoch + 1
end
local former
if holder and holder ~= owner then
  former = holder
  epoch = math.max(epoch + 1, clock_us())
elseif owner and (not holder or entry.l) then
  -- also when it was leaving and is to stay after all: someone may be about to take it out
  holder = owner
  epoch = math.max(epoch + 1, clock_us())
end

-- ── what is written ──

if hydrated or hydrate then put(entry, 'r', replid) end
if content and not text then
  content.epoch = nil -- the entry's own counts
  text = encode_conversation(content)
end
if text then put(entry, 'c', text) end
epoch = format('%d', epoch)
put(entry, 'e', epoch)
if holder then put(entry, 'h', holder) elseif entry.h then redis.call('HDEL', key, 'h') end
if former then put(entry, 'l', '1') elseif entry.l then redis.call('HDEL', key, 'l') end
for sid in next, set do
  if claims[sid] then put(entry, 'k:' .. sid, encode_session(claims[sid])) end
end
write_fields(key)
keep_for(ARGV[2], key, raw[1] == nil)

if asks.check and owner and owner ~= asks.check then return {'CONFLICT'} end

local sessions
for sid, s in next, claims do
  if s.user == owner then
    sessions = sessions or {}
    sessions[#sessions + 1] = set[sid] and encode_session(s) or entry['k:' .. sid]
  end
end
local now = ARGV[11] == '1' and math.floor(clock_us() / 1000) or ''
return {'OK', owner or '', epoch, emptied_at(KEYS[2]), now, text or '', former or sessions and '' or nil,
  sessions and '[' .. table.concat(sessions, ',') .. ']'}
