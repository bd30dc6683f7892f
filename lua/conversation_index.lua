-- Whose a conversation is: the named user, else the owner of the named session, else the user with
-- the earliest claim whose session lies within the match window.
-- uses clock facts conversations
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
-- ARGV[3]  request: {cid, window: ms, claim_unowned: bool,
--            check?: user           would a claim of this user be refused?
--            claim?: session fact   a session claims this conversation, or has more to say
--            unclaim?: sid          it claims another one instead
--            named?: {sid, user}    the owner of a session that it may name
--            content?: conversation fact
--            settle?: user          the conversation has left this user's bucket
--            hydrate?: {content?, claims, holder?, named_owner?}, force?: true}
-- Reply    {'HYDRATE'}              nothing was changed: ask the ledger and call again
--          {'CONFLICT'}             (check) it is another user's
--          {'FULL'}                 too many sessions claim it, and no name decides; nothing was changed
--          {'OK', owner or '', former holder or '', epoch, conversation fact or '', [session fact …],
--           emptied_at, now}
--          the sessions are the owner's that claim it

local CLAIMS_MAX = 64

local key, replid, ttl, request = KEYS[1], ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local raw = redis.call('HGETALL', key)
local entry = {}
for i = 1, #raw, 2 do entry[raw[i]] = raw[i + 1] end
local hydrated = entry.r == replid
if not hydrated and not request.hydrate and not request.force then return {'HYDRATE'} end

local content = entry.c and cjson.decode(entry.c) or nil
local holder, epoch = entry.h, tonumber(entry.e or 0)
local claims, claim_count, owners = {}, 0, {}
local changed = {}
for field, value in pairs(entry) do
  local kind, sid = field:sub(1, 2), field:sub(3)
  if kind == 'k:' then
    claims[sid] = cjson.decode(value)
    claim_count = claim_count + 1
  elseif kind == 'o:' then
    owners[sid] = value
  end
end

local function set_claim(fact)
  local known = claims[fact.sid]
  if not known then claim_count = claim_count + 1 end
  if known and known.user ~= fact.user then known = nil end
  claims[fact.sid] = merge_session(known, fact)
  changed['k:' .. fact.sid] = encode_session(claims[fact.sid])
end

if not hydrated and request.hydrate then
  local h = request.hydrate
  content = merge_conversation(content, h.content)
  for _, fact in ipairs(h.claims) do set_claim(fact) end
  -- of two words on the holder the one of the later epoch: this Redis may have come back older
  if not entry.e or (h.content and h.content.epoch > epoch) then holder = h.holder end
  epoch = math.max(epoch + 1, now_us, h.content and h.content.epoch + 1 or 0)
  if h.content and h.content.named_session and h.named_owner then
    owners[h.content.named_session] = h.named_owner
    changed['o:' .. h.content.named_session] = h.named_owner
  end
end

if request.content then content = merge_conversation(content, request.content) end
if request.named then
  owners[request.named.sid] = request.named.user
  changed['o:' .. request.named.sid] = request.named.user
end
local function named_owner()
  return content and (content.named_user or content.named_session and owners[content.named_session])
end
if request.claim then
  if claims[request.claim.sid] or claim_count < CLAIMS_MAX then
    set_claim(request.claim)
  elseif not named_owner() then
    return {'FULL'}
  end
end
if request.unclaim and claims[request.unclaim] then
  claims[request.unclaim] = nil
  redis.call('HDEL', key, 'k:' .. request.unclaim)
end

local function owner_of()
  if named_owner() then return named_owner() end
  if not content or not request.claim_unowned then return nil end
  local first
  for _, s in pairs(claims) do
    if distance(s, content) <= request.window and (not first
        or s.claim_at < first.claim_at or (s.claim_at == first.claim_at and before(s.sid, first.sid))) then
      first = s
    end
  end
  return first and first.user
end
local owner = owner_of()

if request.settle and holder == request.settle and holder ~= owner then
  holder = nil
  epoch = epoch + 1
end
local former, leaving = '', false
if holder and holder ~= owner then
  former, leaving = holder, true
  epoch = math.max(epoch + 1, now_us)
elseif owner and (not holder or entry.l) then
  -- also when it was leaving and is to stay after all: someone may be about to take it out
  holder = owner
  epoch = math.max(epoch + 1, now_us)
end

local told = ''
if hydrated or request.hydrate then changed.r = replid end
if content then
  content.epoch = nil -- the entry's own counts
  told = encode_conversation(content)
  changed.c = told
end
changed.e = digits(epoch)
if holder then changed.h = holder elseif entry.h then redis.call('HDEL', key, 'h') end
if leaving then changed.l = '1' elseif entry.l then redis.call('HDEL', key, 'l') end
local fields = {}
for field, value in pairs(changed) do
  if entry[field] ~= value then fields[#fields + 1], fields[#fields + 2] = field, value end
end
set_fields(key, fields)
redis.call('PEXPIRE', key, ttl)

if request.check and owner and owner ~= request.check then return {'CONFLICT'} end

local sessions = {}
for _, s in pairs(claims) do
  if s.user == owner then sessions[#sessions + 1] = encode_session(s) end
end
return {'OK', owner or '', former, digits(epoch), told, '[' .. table.concat(sessions, ',') .. ']', emptied_at(KEYS[2]), digits(now_ms)}
