-- Stored webhooks, oldest receipt first. $1 least receipt ms, $2 conversation id or null, $3 user or null,
-- $4 receipt µs and $5 id of the last one seen (null: from the start), $6 limit.
SELECT i.id, (extract(epoch FROM i.received_at) * 1000000)::bigint, i.conversation_id, i.agent_id, i.status, i.is_final,
	debrief_ms(i.started_at), debrief_ms(i.ended_at), i.duration_secs, i.claimed_session_id, i.claimed_user_id,
	i.failure_reason, i.body_hash, encode(i.raw_body, 'hex'),
	jsonb_build_object('type', CASE WHEN i.failure_reason IS NULL THEN 'post_call_transcription' ELSE 'call_initiation_failure' END,
		'event_timestamp', i.event_timestamp,
		'data', COALESCE(i.payload, '{}') || jsonb_build_object('conversation_id', i.conversation_id)
			|| CASE WHEN i.payload ? 'agent_id' THEN '{}' ELSE jsonb_build_object('agent_id', i.agent_id) END
			|| CASE WHEN i.transcript IS NULL THEN '{}' ELSE jsonb_build_object('transcript', i.transcript) END
			|| CASE WHEN i.analysis IS NULL THEN '{}' ELSE jsonb_build_object('analysis', i.analysis) END
			|| CASE WHEN i.metadata IS NULL THEN '{}' ELSE jsonb_build_object('metadata', i.metadata) END)
FROM interviews i
WHERE i.conversation_id IS NOT NULL AND i.payload IS NOT NULL
  AND i.received_at >= debrief_time($1::bigint)
  AND ($2::text IS NULL OR i.conversation_id = $2)
  AND ($3::uuid IS NULL OR i.user_id = $3::uuid)
  AND ($4::bigint IS NULL OR (i.received_at, i.id) > ('epoch'::timestamptz + $4::bigint * interval '1 microsecond', $5::uuid))
ORDER BY i.received_at, i.id
LIMIT $6::int
