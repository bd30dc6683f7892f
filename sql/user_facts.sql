-- A user's facts at some times, and what is tied to them by an id.
-- $1 user, $2 ranges [[from ms, to ms] …], $3 match window ms, $4 claim_unowned, $5 most of each kind,
-- $6 conversations to ask about [conversation id …].
-- One row: {"revision", "sessions": [fact …], "conversations": [fact …], "gone": [{"cid", "epoch"} …], "more": bool}
-- A conversation is the user's when it was decided to be and its facts still say so: what is
-- undecided comes from the conversation index. `gone` are those of $6 that are not.
WITH range AS (
	SELECT debrief_time((r ->> 0)::bigint) AS low, debrief_time((r ->> 1)::bigint) AS high
	FROM jsonb_array_elements($2::jsonb) r
), near_session AS MATERIALIZED (
	SELECT s.id, s.client_session_id, s.claimed_conversation_id FROM range r JOIN interview_sessions s
		ON s.user_id = $1::uuid AND COALESCE(s.client_ended_at, s.started_at, s.created_at) BETWEEN r.low AND r.high
		AND left(s.client_session_id, 9) <> 'fallback:'
	LIMIT $5::int + 1
), candidate AS (
	SELECT i.id FROM range r JOIN interviews i
		ON i.user_id = $1::uuid AND COALESCE(i.ended_at, i.received_at) BETWEEN r.low AND r.high
	UNION
	SELECT i.id FROM range r JOIN interviews i
		ON i.user_id = $1::uuid AND COALESCE(i.started_at, i.received_at) BETWEEN r.low AND r.high
	UNION
	SELECT i.id FROM near_session s JOIN interviews i
		ON i.conversation_id = s.claimed_conversation_id AND i.user_id = $1::uuid
	UNION
	SELECT i.id FROM near_session s JOIN interviews i
		ON i.claimed_session_id = s.client_session_id AND i.user_id = $1::uuid
), near_conversation AS MATERIALIZED (
	SELECT (i).id, (i).conversation_id, (i).claimed_session_id, debrief_conversation_fact(i, e) AS fact
	FROM (SELECT i FROM candidate JOIN interviews i USING (id) OFFSET 0) few -- only then ask for the owner
	LEFT JOIN evaluations e ON e.interview_id = (i).id
	WHERE (i).conversation_id IS NOT NULL AND debrief_owner(i, $3::bigint, $4::boolean) = $1::uuid
	LIMIT $5::int + 1
), asked AS (
	SELECT jsonb_array_elements_text($6::jsonb) AS cid
), all_session AS (
	SELECT id FROM near_session
	UNION
	SELECT s.id FROM near_conversation c JOIN interview_sessions s
		ON s.client_session_id = c.claimed_session_id AND s.user_id = $1::uuid
	UNION
	SELECT s.id FROM near_conversation c JOIN interview_sessions s
		ON s.claimed_conversation_id = c.conversation_id AND s.user_id = $1::uuid
	UNION
	SELECT s.id FROM asked JOIN interview_sessions s
		ON s.conversation_id = asked.cid AND s.user_id = $1::uuid AND left(s.client_session_id, 9) <> 'fallback:'
	UNION
	SELECT s.id FROM asked JOIN interview_sessions s
		ON s.claimed_conversation_id = asked.cid AND s.user_id = $1::uuid
)
SELECT jsonb_build_object(
	'revision', COALESCE((SELECT p.links_revision FROM profiles p WHERE p.id = $1::uuid), 0),
	'sessions', COALESCE((SELECT jsonb_agg(debrief_session_fact(s)) FROM all_session a
		JOIN interview_sessions s USING (id) WHERE s.client_session_id IS NOT NULL), '[]'::jsonb),
	'conversations', COALESCE((SELECT jsonb_agg(fact) FROM near_conversation), '[]'::jsonb),
	'gone', COALESCE((SELECT jsonb_agg(jsonb_build_object('cid', i.conversation_id, 'epoch', i.owner_epoch))
		FROM asked JOIN interviews i ON i.conversation_id = asked.cid AND i.user_id IS DISTINCT FROM $1::uuid),
		'[]'::jsonb),
	'more', (SELECT count(*) FROM near_session) > $5::int OR (SELECT count(*) FROM near_conversation) > $5::int)
