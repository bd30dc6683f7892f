-- wrk script: reports in a form that tests/bench/run reads. Requests are wrk's own.
function done(summary, latency)
	local errors = summary.errors
	io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
		errors.connect + errors.read + errors.write + errors.timeout, errors.status, latency:percentile(99)))
end
