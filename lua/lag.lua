-- Notes how long after the end of a call its webhook came: the latest LAGS_MAX of an agent.
--
-- KEYS[1]  the agent's list
-- ARGV[1]  lag in ms
-- ARGV[2]  TTL in ms
-- Reply    {'OK'}

local LAGS_MAX = 16

redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, LAGS_MAX - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {'OK'}
