-- An interview with its evaluation, in the columns that src/broker/results.c names.
-- $1 interview id, $2 match window ms, $3 claim_unowned. Until it is decided whose it is, the facts say so.
SELECT i.conversation_id,
	CASE WHEN i.undecided OR i.user_id IS NULL THEN debrief_owner(i, $2::bigint, $3::boolean) ELSE i.user_id END, i.agent_id, s.client_session_id, i.status,
	debrief_ms(i.started_at), debrief_ms(i.ended_at), i.duration_secs, debrief_ms(i.received_at),
	i.analysis ->> 'transcript_summary', i.failure_reason, i.transcript, i.metadata,
	e.status, e.result, e.reason, debrief_ms(e.completed_at)
FROM interviews i
LEFT JOIN evaluations e ON e.interview_id = i.id
LEFT JOIN interview_sessions s ON s.conversation_id = i.conversation_id AND left(s.client_session_id, 9) <> 'fallback:'
WHERE i.id = $1::uuid
