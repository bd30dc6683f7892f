-- Shared by all scripts: the journal, one stream a partition: facts that were accepted and that the
-- ledger has not committed yet.
--
-- Entry    {kind: 'save' or 'webhook', subject: sid or conversation id, fact: session fact or raw body,
--          interview?: interview id, of a webhook}; its id begins with the ms at which it was heard
-- Bytes    a counter beside it, an estimate: what it holds and what a stream adds to that

local ENTRY_OVERHEAD = 160

local function journal_add(stream, bytes, kind, subject, fact, ...)
  local id = redis.call('XADD', stream, '*', 'kind', kind, 'subject', subject, 'fact', fact, ...)
  redis.call('INCRBY', bytes, #subject + #fact + ENTRY_OVERHEAD)
  return id
end

-- An entry's fields by name.
local function journal_fields(entry)
  local fields = {}
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  return fields
end

local function journal_bytes(bytes) return tonumber(redis.call('GET', bytes) or 0) end
