-- wrk script: posts one signed webhook after another. WEBHOOKS names a file made by
-- tests/bench/run: first the template's path, then a line "<conversation> <user>
-- <session> <signature>" for each. The template marks the places of the three ids, so
-- that bodies of hundreds of megabytes need not be held.
local entries, pieces = {}, {}
local nth = 0

function init()
	local file = assert(io.open(os.getenv("WEBHOOKS")))
	local template = assert(io.open(file:read("*l"))):read("*a")
	local position = 1
	while true do
		local first, last, name = template:find("\1(%a)\1", position)
		if not first then break end
		pieces[#pieces + 1] = template:sub(position, first - 1)
		pieces[#pieces + 1] = name
		position = last + 1
	end
	pieces[#pieces + 1] = template:sub(position)
	for line in file:lines() do
		local c, u, s, signature = line:match("^(%S+) (%S+) (%S+) (%S+)$")
		entries[#entries + 1] = {c = c, u = u, s = s, signature = signature}
	end
end

function request()
	local entry = entries[nth % #entries + 1]
	nth = nth + 1
	local body = {}
	for i, piece in ipairs(pieces) do
		body[i] = i % 2 == 0 and entry[piece] or piece
	end
	return wrk.format("POST", "/webhooks/elevenlabs",
		{["Content-Type"] = "application/json", ["ElevenLabs-Signature"] = entry.signature}, table.concat(body))
end

function done(summary, latency)
	local errors = summary.errors
	io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
		errors.connect + errors.read + errors.write + errors.timeout, errors.status, latency:percentile(99)))
end
