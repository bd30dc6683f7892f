-- Shared: how a script writes the hash that it is about.

-- The fields to set, {name, value, name, value …}, `n` of them. All at once: each command of a script costs what
-- a short script does, and stands in the append-only file by itself. There is room for a few from the
-- beginning: a table that grows costs more than what is put into it.
local new_fields, new_count = {nil, nil, nil, nil, nil, nil, nil, nil, nil, nil}, 0

-- `old`: the fields as they are
local function put(old, name, value)
  if old[name] ~= value then
    new_fields[new_count + 1], new_fields[new_count + 2] = name, value
    new_count = new_count + 2
  end
end

local FIELDS_MAX = 1000 -- far below what unpack() takes
local function write_fields(key)
  for i = 1, new_count, FIELDS_MAX do
    redis.call('HSET', key, unpack(new_fields, i, math.min(i + FIELDS_MAX - 1, new_count)))
  end
end

-- A hash lives for its TTL after it was last used, or up to an eighth of that less: moving the
-- expiry each time would cost twice as much as to look, and be one more command for the append-only file.
local function keep_for(ttl, key, is_new)
  if is_new or redis.call('PTTL', key) < ttl * 0.875 then redis.call('PEXPIRE', key, ttl) end
end
