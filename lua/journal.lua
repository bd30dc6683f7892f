-- Shared: the journal, one stream a partition: facts that were accepted and that the ledger has not
-- committed yet.
--
-- Entry    {kind: 'save' or 'webhook', subject: sid or conversation id, then
--            of a save:    fact: session fact
--            of a webhook: body: name of the key that has the body, an LZ4 frame; bytes: that one's length;
--                          size and hash: length and SHA-256 of the body as it came; interview: id};
--          its id begins with the ms at which it was heard
-- Bytes    a counter beside it, an estimate: what it holds and what a stream adds to that
--
-- Bodies stand in keys of their own and never come into a script: Lua hashes each string that it
-- gets, byte by byte, and of 40 KB that costs more than all else about a webhook.

local ENTRY_OVERHEAD = 160

-- Gives the new entry, and what the journal holds with it.
local function journal_add(stream, bytes, size, ...)
  local id = redis.call('XADD', stream, '*', ...)
  return id, redis.call('INCRBY', bytes, size + ENTRY_OVERHEAD)
end
