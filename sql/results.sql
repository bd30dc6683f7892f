-- An interview with its evaluation, in the columns that src/broker/results_body.h names.
-- $1 interview id, $2 match window ms, $3 claim_unowned, $4 a version that the caller has: then its long
-- columns are left out. Until it is decided whose it is, the facts say so.
SELECT i.conversation_id,
	CASE WHEN i.undecided OR i.user_id IS NULL THEN debrief_owner(i, $2::bigint, $3::boolean) ELSE i.user_id END,
	v.version, i.agent_id, s.client_session_id, i.status,
	debrief_ms(i.started_at), debrief_ms(i.ended_at), i.duration_secs, debrief_ms(i.received_at),
	i.failure_reason, e.status, e.reason, debrief_ms(e.completed_at),
	CASE WHEN v.known THEN NULL ELSE i.analysis ->> 'transcript_summary' END,
	CASE WHEN v.known THEN NULL ELSE i.transcript END,
	CASE WHEN v.known THEN NULL ELSE i.metadata END,
	CASE WHEN v.known THEN NULL ELSE e.result END
FROM interviews i
LEFT JOIN evaluations e ON e.interview_id = i.id
LEFT JOIN interview_sessions s ON s.conversation_id = i.conversation_id AND left(s.client_session_id, 9) <> 'fallback:'
-- which rows these are: each write makes another
CROSS JOIN LATERAL (SELECT w.version, w.version = $4::text AS known
	FROM (SELECT format('%s.%s.%s', i.xmin, e.xmin, s.xmin) AS version) w) v
WHERE i.id = $1::uuid
