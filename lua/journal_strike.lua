-- Strikes entries out of a journal: the ledger has them.
-- uses emptied journal journal_entry
--
-- KEYS[1]  the journal, KEYS[2] its bytes
-- KEYS[3]  hash of the interviews in it (lua/journal_append.lua)
-- KEYS[4]  when its partition was found empty (emptied_at)
-- KEYS[5…] the bodies of those that are webhooks
-- ARGV     the entries
-- Reply    {'OK', bytes of the journal, emptied_at, for each entry 1 if it was there or 0 …}

local reply, freed, interviews = {'OK', '', emptied_at(KEYS[4])}, 0, {}
for i, id in ipairs(ARGV) do
  local found = redis.call('XRANGE', KEYS[1], id, id)[1]
  reply[3 + i] = found and 1 or 0
  if found then
    local fields = journal_fields(found)
    freed = freed + journal_size(fields) + ENTRY_OVERHEAD
    if fields.interview then interviews[#interviews + 1] = {fields.interview, id} end
  end
end
if freed > 0 then redis.call('XDEL', KEYS[1], unpack(ARGV)) end
if KEYS[5] then redis.call('UNLINK', unpack(KEYS, 5)) end
-- of an interview it may be another entry that counts
local gone = {}
for _, at in ipairs(interviews) do
  local known = redis.call('HGET', KEYS[3], at[1])
  if known and cjson.decode(known).entry == at[2] then gone[#gone + 1] = at[1] end
end
if gone[1] then redis.call('HDEL', KEYS[3], unpack(gone)) end

local bytes = '0'
if redis.call('XLEN', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2])
elseif freed > 0 then
  bytes = redis.call('DECRBY', KEYS[2], freed)
else
  bytes = redis.call('GET', KEYS[2]) or '0'
end
reply[2] = bytes
return reply
