-- Keeps what a webhook told of a conversation: the provider's content, whole, of the greater
-- (is_final, event_timestamp, body_hash), and the earliest receipt. It is undecided, unless it comes with
-- the decision and that is in force (lock_user.sql came before).
-- $1 interview id, $2 conversation id, $3 agent, $4 status, $5 final, $6 event timestamp, $7 body hash,
-- $8 start ms, $9 end ms, $10 duration s, $11 named session, $12 named user, $13 transcript, $14 analysis,
-- $15 metadata, $16 payload, $17 raw body (hex) or null, $18 failure reason, $19 receipt ms (null: now),
-- $20 owner, $21 owner's epoch, $22 revision of the decision (null: there is none).
INSERT INTO interviews AS i (id, conversation_id, agent_id, status, is_final, event_timestamp, body_hash,
	started_at, ended_at, duration_secs, claimed_session_id, claimed_user_id, transcript, analysis,
	metadata, payload, raw_body, failure_reason, received_at, user_id, owner_epoch, undecided)
VALUES ($1::uuid, $2, $3, $4, $5::boolean, $6::bigint, $7,
	debrief_time($8::bigint), debrief_time($9::bigint), $10::bigint, $11, $12::uuid, $13::jsonb, $14::jsonb,
	$15::jsonb, $16::jsonb, $17::bytea, $18, COALESCE(debrief_time($19::bigint), now()),
	$20::uuid, COALESCE($21::bigint, 0), $22::bigint IS NULL
		OR COALESCE((SELECT p.links_revision FROM profiles p WHERE p.id = $20::uuid), 0) > $22::bigint)
ON CONFLICT (conversation_id) DO UPDATE SET
	agent_id = excluded.agent_id, status = excluded.status, is_final = excluded.is_final,
	event_timestamp = excluded.event_timestamp, body_hash = excluded.body_hash,
	started_at = excluded.started_at, ended_at = excluded.ended_at, duration_secs = excluded.duration_secs,
	claimed_session_id = excluded.claimed_session_id, claimed_user_id = excluded.claimed_user_id,
	transcript = excluded.transcript, analysis = excluded.analysis, metadata = excluded.metadata,
	payload = excluded.payload, raw_body = excluded.raw_body, failure_reason = excluded.failure_reason,
	received_at = LEAST(i.received_at, excluded.received_at), undecided = true, updated_at = now()
WHERE (excluded.is_final, excluded.event_timestamp, excluded.body_hash)
	> (i.is_final, i.event_timestamp, i.body_hash)
