-- Shared: what every script that changes a key does with its partition.

-- For those that mostly need no clock.
local function clock_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- When this partition was last found empty, in ms: a key that goes with all others when they go.
-- A caller whose facts were on their way to the ledger at that time begins again.
local function emptied_at(key)
  local at = redis.call('GET', key)
  if not at then
    at = tostring(clock_ms()) -- 13 digits: it would round what has more than 14
    redis.call('SET', key, at)
  end
  return at
end
