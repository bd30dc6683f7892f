-- Shared: what those need who read a journal (lua/journal.lua).

-- An entry's fields by name.
local function journal_fields(entry)
  local fields = {}
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  return fields
end

local function journal_size(fields) return #fields.subject + (fields.bytes or #fields.fact) end

local function journal_bytes(bytes) return tonumber(redis.call('GET', bytes) or 0) end
