-- The oldest entries of a journal for a sweeper, or those behind an earlier page, if it holds the partition's
-- lease or gets it.
-- uses journal_entry
--
-- KEYS[1]  the journal, KEYS[2] its bytes
-- KEYS[3]  the lease: its holder
-- ARGV[1]  who asks, ARGV[2] for how long it wants the lease, in ms
-- ARGV[3]  how old an entry must be, in ms: whoever wrote it may still be at it
-- ARGV[4]  how many entries (0: none, and no lease), ARGV[5] how many bytes of them (but at least one), as they came
-- ARGV[6]  the last entry of the page before, or ''
-- Reply    {length, bytes, age of the oldest in ms, now, '1' if there is more to be read or '',
--           (entry, kind, subject, fact or '', name of the body or '', its hash or '', its size as it came) …}

local clock = redis.call('TIME')
local now, count = clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(ARGV[4])
local length, bytes = redis.call('XLEN', KEYS[1]), journal_bytes(KEYS[2])
local reply = {length, bytes, 0, now, ''}
if length == 0 then return reply end

local function entry_ms(entry) return tonumber(entry[1]:match('^%d+')) end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
reply[3] = math.max(now - entry_ms(first), 0)
if reply[3] < tonumber(ARGV[3]) or count == 0 then return reply end
local holder = redis.call('GET', KEYS[3])
if holder and holder ~= ARGV[1] then return reply end
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])

local room = tonumber(ARGV[5])
local entries = redis.call('XRANGE', KEYS[1], ARGV[6] == '' and '-' or '(' .. ARGV[6], '+', 'COUNT', count)
if #entries == count then reply[5] = '1' end
for i, entry in ipairs(entries) do
  if now - entry_ms(entry) < tonumber(ARGV[3]) then
    reply[5] = ''
    break
  end
  local fields = journal_fields(entry)
  local size = tonumber(fields.size) or journal_size(fields)
  room = room - size
  if room < 0 and i > 1 then
    reply[5] = '1'
    break
  end
  for _, value in ipairs({entry[1], fields.kind, fields.subject, fields.fact or '', fields.body or '', fields.hash or '', size}) do
    reply[#reply + 1] = value
  end
end
return reply
