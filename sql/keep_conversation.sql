-- merges, one a $2, json $13
-- Keeps what a webhook told of a conversation: the provider's content, whole, of the greater
-- (is_final, event_timestamp, body_hash), the earliest receipt, and the evaluation that it came with. It is undecided,
-- unless it comes with the decision and that is in force (lock_user.sql came before). One row if that is what the
-- ledger has now, none if it had this or what counts more. Of a conversation that is new here, the row of
-- sql/conversation_facts.sql goes with it, where there is no decision yet; else null.
-- $1 interview id, $2 conversation id, $3 agent, $4 status, $5 final, $6 event timestamp, $7 body hash,
-- $8 start ms, $9 end ms, $10 duration s, $11 named session, $12 named user, $13 transcript, $14 analysis,
-- $15 metadata, $16 payload, $17 raw body (hex) or null, $18 failure reason, $19 receipt ms (null: now),
-- $20 owner, $21 owner's epoch, $22 revision of the decision (null: there is none); the evaluation's $23 status,
-- $24 result, $25 reason, $26 whether to announce a change on channel debrief_evaluation.
WITH kept AS (
	INSERT INTO interviews AS i (id, conversation_id, agent_id, status, is_final, event_timestamp, body_hash,
		started_at, ended_at, duration_secs, claimed_session_id, claimed_user_id, transcript, analysis,
		metadata, payload, raw_body, failure_reason, received_at, user_id, owner_epoch, undecided)
	SELECT interview_id::uuid, cid, agent, status, is_final::boolean, event_timestamp::bigint, body_hash,
		debrief_time(started_ms::bigint), debrief_time(ended_ms::bigint), duration::bigint, named_session,
		named_user::uuid, transcript, analysis::jsonb, metadata::jsonb, payload::jsonb, raw_body::bytea, failure,
		COALESCE(debrief_time(received_ms::bigint), now()), owner::uuid, COALESCE(epoch::bigint, 0), revision IS NULL
			OR COALESCE((SELECT p.links_revision FROM profiles p WHERE p.id = owner::uuid), 0) > revision::bigint
	FROM (SELECT unnest($1::text[]) AS interview_id, unnest($2::text[]) AS cid, unnest($3::text[]) AS agent,
			unnest($4::text[]) AS status, unnest($5::text[]) AS is_final, unnest($6::text[]) AS event_timestamp,
			unnest($7::text[]) AS body_hash, unnest($8::text[]) AS started_ms, unnest($9::text[]) AS ended_ms,
			unnest($10::text[]) AS duration, unnest($11::text[]) AS named_session, unnest($12::text[]) AS named_user,
			unnest($13::json[]) AS transcript, unnest($14::text[]) AS analysis, unnest($15::text[]) AS metadata,
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
	RETURNING id, conversation_id, received_at, xmax = 0 AS new
), told AS (
	SELECT kept.id, kept.received_at, g.*, kept.new AND g.revision IS NULL AS with_facts
	FROM kept JOIN unnest($2::text[], $3::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $11::text[],
			$12::text[], $18::text[], $19::text[], $22::text[], $23::text[], $24::text[], $25::text[], $26::text[]) WITH ORDINALITY
		AS g (cid, agent, is_final, event_timestamp, hash, started_ms, ended_ms, named_session, named_user, failure,
			received_ms, revision, evaluation, result, reason, announce, member)
		ON g.cid = kept.conversation_id
), evaluated AS (
	-- as in sql/keep_evaluation.sql, of the provider's own
	INSERT INTO evaluations AS e (interview_id, status, result, reason, completed_at)
	SELECT id, evaluation, result::jsonb, reason,
		CASE WHEN evaluation <> 'pending' THEN COALESCE(debrief_time(received_ms::bigint), now()) END
	FROM told
	ON CONFLICT (interview_id) DO UPDATE SET
		status = excluded.status, result = excluded.result, reason = excluded.reason,
		revised_ms = 0, completed_at = excluded.completed_at
	WHERE CASE WHEN e.revised_ms = 0
		THEN (e.status, e.result, e.reason) IS DISTINCT FROM (excluded.status, excluded.result, excluded.reason)
		ELSE array_position('{pending,failed,complete}', excluded.status)
			> array_position('{pending,failed,complete}', e.status) END
	RETURNING interview_id
)
SELECT t.member, CASE WHEN t.with_facts THEN concat('{"content":{"cid":', to_json(t.cid), ',"id":"', t.id,
		'","agent":', to_json(t.agent), ',"epoch":0,"final":', t.is_final::boolean::int, ',"event_at":', t.event_timestamp,
		',"hash":"', t.hash, '","received_at":', debrief_ms(t.received_at), ',"started_at":' || t.started_ms,
		',"ended_at":' || t.ended_ms, ',"named_user":"' || t.named_user || '"',
		',"named_session":' || to_json(t.named_session), ',"failure":' || to_json(t.failure),
		',"evaluation":{"status":"', t.evaluation, '","at":0', ',"reason":' || to_json(t.reason), '}},"claims":',
		COALESCE((SELECT jsonb_agg(c.fact) FROM
			(SELECT debrief_session_fact(s) AS fact FROM interview_sessions s
			 WHERE s.claimed_conversation_id = t.cid AND s.client_session_id IS NOT NULL
			 ORDER BY s.claimed_at, s.client_session_id LIMIT 64) c), '[]'),
		',"named_owner":"' || (SELECT s.user_id FROM interview_sessions s WHERE s.client_session_id = t.named_session) || '"',
		'}') END,
	CASE WHEN t.announce::boolean AND e.interview_id IS NOT NULL
		THEN pg_notify('debrief_evaluation', json_build_object('interviewId', t.id, 'status', t.evaluation)::text) END
FROM told t LEFT JOIN evaluated e ON e.interview_id = t.id
