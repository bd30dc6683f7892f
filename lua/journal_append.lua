-- Takes a webhook's body into the journal, once: a repeated one is there already.
-- uses emptied order journal
--
-- KEYS[1]  the journal of the interview's partition, KEYS[2] its bytes
-- KEYS[3]  hash {interview id: [entry, final, event_at, hash] of the content that counts}
-- KEYS[4]  when its partition was found empty (emptied_at)
-- KEYS[5]  the body: set just before, in a key of a new name that expires unless it is kept here
-- ARGV[1]  conversation id, ARGV[2] interview id, ARGV[3] final, ARGV[4] event_at, ARGV[5] hash (as in its fact)
-- ARGV[6]  the body's name in its key, ARGV[7] its length there, ARGV[8] and as it came
-- Reply    {'OK', entry, bytes of the journal, emptied_at, now}
--          {'NO_BODY'}  it was not set; nothing was changed

local cid, interview, final, event_at, hash, body, length, size = unpack(ARGV)
local known = redis.call('HGET', KEYS[3], interview)
known = known and cjson.decode(known)

local entry, bytes, now
if known and known.hash == hash then
  entry, bytes = known.entry, redis.call('GET', KEYS[2])
  redis.call('UNLINK', KEYS[5])
else
  if redis.call('PERSIST', KEYS[5]) == 0 then return {'NO_BODY'} end
  entry, bytes = journal_add(KEYS[1], KEYS[2], #cid + length, 'kind', 'webhook', 'subject', cid,
    'body', body, 'bytes', length, 'size', size, 'hash', hash, 'interview', interview)
  now = entry:sub(-2) == '-0' and entry:sub(1, -3) -- the clock's word, unless the clock is not beyond the entry before
  if not known or is_greater_content({final = tonumber(final), event_at = tonumber(event_at), hash = hash}, known) then
    redis.call('HSET', KEYS[3], interview, '{"entry":"' .. entry .. '","final":' .. final .. ',"event_at":' .. event_at
      .. ',"hash":"' .. hash .. '"}')
  end
end
return {'OK', entry, bytes, emptied_at(KEYS[4]), now or clock_us() / 1000}
