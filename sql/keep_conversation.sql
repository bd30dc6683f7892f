-- merges, one a $2
-- Keeps what a webhook told of a conversation: the provider's content, whole, of the greater
-- (is_final, event_timestamp, body_hash), and the earliest receipt. It is undecided, unless it comes with
-- the decision and that is in force (lock_user.sql came before). One row if that is what the
-- ledger has now, none if it had this or what counts more.
-- $1 interview id, $2 conversation id, $3 agent, $4 status, $5 final, $6 event timestamp, $7 body hash,
-- $8 start ms, $9 end ms, $10 duration s, $11 named session, $12 named user, $13 transcript, $14 analysis,
-- $15 metadata, $16 payload, $17 raw body (hex) or null, $18 failure reason, $19 receipt ms (null: now),
-- $20 owner, $21 owner's epoch, $22 revision of the decision (null: there is none).
WITH kept AS (
	INSERT INTO interviews AS i (id, conversation_id, agent_id, status, is_final, event_timestamp, body_hash,
		started_at, ended_at, duration_secs, claimed_session_id, claimed_user_id, transcript, analysis,
		metadata, payload, raw_body, failure_reason, received_at, user_id, owner_epoch, undecided)
	SELECT interview_id::uuid, cid, agent, status, is_final::boolean, event_timestamp::bigint, body_hash,
		debrief_time(started_ms::bigint), debrief_time(ended_ms::bigint), duration::bigint, named_session,
		named_user::uuid, transcript::json, analysis::jsonb, metadata::jsonb, payload::jsonb, raw_body::bytea, failure,
		COALESCE(debrief_time(received_ms::bigint), now()), owner::uuid, COALESCE(epoch::bigint, 0), revision IS NULL
			OR COALESCE((SELECT p.links_revision FROM profiles p WHERE p.id = owner::uuid), 0) > revision::bigint
	FROM (SELECT unnest($1::text[]) AS interview_id, unnest($2::text[]) AS cid, unnest($3::text[]) AS agent,
			unnest($4::text[]) AS status, unnest($5::text[]) AS is_final, unnest($6::text[]) AS event_timestamp,
			unnest($7::text[]) AS body_hash, unnest($8::text[]) AS started_ms, unnest($9::text[]) AS ended_ms,
			unnest($10::text[]) AS duration, unnest($11::text[]) AS named_session, unnest($12::text[]) AS named_user,
			unnest($13::text[]) AS transcript, unnest($14::text[]) AS analysis, unnest($15::text[]) AS metadata,
			unnest($16::text[]) AS payload, unnest($17::text[]) AS raw_body, unnest($18::text[]) AS failure,
			unnest($19::text[]) AS received_ms, unnest($20::text[]) AS owner, unnest($21::text[]) AS epoch,
			unnest($22::text[]) AS revision) given
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
	RETURNING conversation_id
)
SELECT array_position($2::text[], conversation_id), true FROM kept
