-- Takes a webhook's body into the journal, once: a repeated one is there already.
-- uses clock facts conversations journal
--
-- KEYS[1]  the journal of the interview's partition, KEYS[2] its bytes
-- KEYS[3]  hash {interview id: [entry, final, event_at, hash] of the content that counts}
-- KEYS[4]  when its partition was found empty (emptied_at)
-- KEYS[5]  the body: set just before, in a key of a new name that expires unless it is kept here
-- ARGV[1]  {cid, id: interview id, final, event_at, hash} (as in a conversation fact)
-- ARGV[2]  the body's name in its key, ARGV[3] its length
-- Reply    {'OK', entry, bytes of the journal, emptied_at, now}
--          {'NO_BODY'}  it was not set; nothing was changed

local fact = cjson.decode(ARGV[1])
local known = redis.call('HGET', KEYS[3], fact.id)
known = known and cjson.decode(known)

local entry
if known and known.hash == fact.hash then
  entry = known.entry
  redis.call('UNLINK', KEYS[5])
else
  if redis.call('PERSIST', KEYS[5]) == 0 then return {'NO_BODY'} end
  entry = journal_add(KEYS[1], KEYS[2], #fact.cid + ARGV[3], 'kind', 'webhook', 'subject', fact.cid,
    'body', ARGV[2], 'bytes', ARGV[3], 'interview', fact.id)
  if not known or is_greater_content(fact, known) then
    redis.call('HSET', KEYS[3], fact.id, '{"entry":"' .. entry .. '","final":' .. digits(fact.final)
      .. ',"event_at":' .. digits(fact.event_at) .. ',"hash":' .. encode(fact.hash) .. '}')
  end
end
return {'OK', entry, redis.call('GET', KEYS[2]), emptied_at(KEYS[4]), digits(now_ms)}
