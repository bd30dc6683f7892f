-- Shared: one moment a call. Revisions and epochs are in microseconds: a Redis that was emptied starts them
-- from its clock, and must not come upon a number that it gave in the same millisecond before.
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now_ms = math.floor(now_us / 1000)
