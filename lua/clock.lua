-- Shared: the time, and what every script that changes a key does with it and with its partition.

-- One moment a call. Revisions and epochs are in microseconds: a Redis that was emptied starts them from
-- its clock, and must not come upon a number that it gave in the same millisecond before.
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now_ms = math.floor(now_us / 1000)

-- When this partition was last found empty, in ms: a key that goes with all others when they go.
-- A caller whose facts were on their way to the ledger at that time begins again.
local function emptied_at(key)
  local at = redis.call('GET', key)
  if not at then
    at = string.format('%d', now_ms)
    redis.call('SET', key, at)
  end
  return at
end

-- Sets the fields of a hash, {name, value, name, value …}: each command of a script costs what a
-- short script does, and stands in the append-only file by itself.
local FIELDS_MAX = 1000 -- far below what unpack() takes
local function set_fields(key, fields)
  for i = 1, #fields, FIELDS_MAX do
    redis.call('HSET', key, unpack(fields, i, math.min(i + FIELDS_MAX - 1, #fields)))
  end
end
