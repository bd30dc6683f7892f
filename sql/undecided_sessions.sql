-- Sessions whose decision is still to be made, as facts, and nobody is at it. $1 µs and $2 id of the last one
-- seen (null: from the start), $3 limit.
SELECT client_session_id, (extract(epoch FROM updated_at) * 1000000)::bigint, id, user_id, debrief_session_fact(s)
FROM interview_sessions s
WHERE undecided AND updated_at < now() - interval '3 seconds'
  AND ($1::bigint IS NULL OR (updated_at, id) > ('epoch'::timestamptz + $1::bigint * interval '1 microsecond', $2::uuid))
ORDER BY updated_at, id LIMIT $3::int
