-- The content that counts of an interview that is still in the journal.
-- uses journal_entry
--
-- KEYS[1]  the journal of the interview's partition
-- KEYS[2]  hash of the interviews in it (lua/journal_append.lua)
-- ARGV[1]  interview id
-- Reply    {entry, the body's name in its key}, or {} if it isn't there

local known = redis.call('HGET', KEYS[2], ARGV[1])
if not known then return {} end
local id = cjson.decode(known).entry
local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
if not entry then return {} end
return {id, journal_fields(entry).body}
