-- A session's poll view, as lua/decide.lua writes it, from what the ledger has decided. $1 user, $2 sid.
-- No row: there is none of that sid, or it is another user's.
SELECT jsonb_build_object(
	'status', CASE WHEN i.failure_reason IS NOT NULL THEN 'failed' WHEN i.id IS NOT NULL THEN 'linked'
		WHEN s.client_ended_at IS NOT NULL THEN 'ended' ELSE 'started' END,
	'interviewId', i.id, 'conversationId', COALESCE(s.conversation_id, s.claimed_conversation_id),
	'evaluationStatus', CASE WHEN i.id IS NOT NULL THEN COALESCE(e.status, 'pending') END,
	'reason', COALESCE(i.failure_reason, e.reason),
	'startedAt', debrief_ms(COALESCE(s.started_at, s.created_at)), 'endedAt', debrief_ms(s.client_ended_at),
	'receivedAt', debrief_ms(i.received_at))
FROM interview_sessions s
LEFT JOIN interviews i ON i.id = s.interview_id
LEFT JOIN evaluations e ON e.interview_id = i.id
WHERE s.client_session_id = $2 AND s.user_id = $1::uuid
