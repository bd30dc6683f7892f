-- The oldest pending evaluations after a cursor. $1 requested_at µs of the cursor or null, $2 its interview id, $3 limit.
SELECT e.interview_id, i.conversation_id, i.agent_id, debrief_ms(e.requested_at),
	(extract(epoch FROM e.requested_at) * 1000000)::bigint
FROM evaluations e JOIN interviews i ON i.id = e.interview_id
WHERE e.status = 'pending'
  AND ($1::bigint IS NULL OR (e.requested_at, e.interview_id)
	> ('epoch'::timestamptz + $1::bigint * interval '1 microsecond', $2::uuid))
ORDER BY e.requested_at, e.interview_id
LIMIT $3::int
