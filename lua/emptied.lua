-- Shared: what every script that changes a key does with its partition.

-- The moment of this call in microseconds, read when it is first wanted: many calls need none. Revisions and epochs start
-- from it: a Redis that was emptied must not come upon a number that it gave in the same millisecond before.
local moment
local function clock_us()
  if not moment then
    local time = redis.call('TIME')
    moment = time[1] * 1000000 + time[2]
  end
  return moment
end

-- When this partition was last found empty, in ms: a key that goes with all others when they go.
-- A caller whose facts were on their way to the ledger at that time begins again.
local function emptied_at(key)
  local at = redis.call('GET', key)
  if not at then
    at = string.format('%d', clock_us() / 1000)
    redis.call('SET', key, at)
  end
  return at
end
