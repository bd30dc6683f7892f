-- Strikes an entry out of the journal: the ledger has it.
-- uses emptied journal
--
-- KEYS[1]  the journal, KEYS[2] its bytes
-- KEYS[3]  hash of the interviews in it (lua/journal_append.lua)
-- KEYS[4]  when its partition was found empty (emptied_at)
-- KEYS[5]  the webhook's body; none of a save
-- ARGV[1]  entry
-- Reply    {'OK', bytes of the journal, emptied_at, 1 if it was there or 0}

local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if found then
  local fields = journal_fields(found)
  redis.call('XDEL', KEYS[1], ARGV[1])
  if KEYS[5] then redis.call('UNLINK', KEYS[5]) end
  if redis.call('XLEN', KEYS[1]) == 0 then
    redis.call('DEL', KEYS[2])
  else
    redis.call('DECRBY', KEYS[2], journal_size(fields) + ENTRY_OVERHEAD)
  end
  local known = fields.interview and redis.call('HGET', KEYS[3], fields.interview)
  if known and cjson.decode(known).entry == ARGV[1] then redis.call('HDEL', KEYS[3], fields.interview) end
end
return {'OK', redis.call('GET', KEYS[2]) or '0', emptied_at(KEYS[4]), found and 1 or 0}
