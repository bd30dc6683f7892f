-- Takes a webhook's body into the journal, once: a repeated one is there already.
--
-- KEYS[1]  the journal of the interview's partition, KEYS[2] its bytes
-- KEYS[3]  hash {interview id: [entry, final, event_at, hash] of the content that counts}
-- KEYS[4]  when its partition was found empty (emptied_at)
-- ARGV[1]  {cid, id: interview id, final, event_at, hash} (as in a conversation fact)
-- ARGV[2]  the body
-- Reply    {'OK', entry, bytes of the journal, emptied_at, now}

local fact = cjson.decode(ARGV[1])
local known = redis.call('HGET', KEYS[3], fact.id)
known = known and cjson.decode(known)

local entry
if known and known.hash == fact.hash then
  entry = known.entry
else
  entry = journal_add(KEYS[1], KEYS[2], 'webhook', fact.cid, ARGV[2], 'interview', fact.id)
  if not known or is_greater_content(fact, known) then
    redis.call('HSET', KEYS[3], fact.id,
      encode_fact({entry = entry, final = fact.final, event_at = fact.event_at, hash = fact.hash}))
  end
end
return {'OK', entry, redis.call('GET', KEYS[2]), emptied_at(KEYS[4]), string.format('%.0f', now_ms())}
