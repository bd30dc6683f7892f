-- All facts of a user, by today's rules, as lua/decide.lua takes them, and the links that hold now.
-- $1 user, $2 match window ms, $3 claim_unowned.
-- One row: sessions, conversations (arrays of facts), links {sid: {cid, evidence}}, conversations that are not this
-- user's yet {cid: owner or null}.
WITH mine AS (
	SELECT i AS whole, e AS evaluation FROM interviews i LEFT JOIN evaluations e ON e.interview_id = i.id
	WHERE i.user_id = $1::uuid AND i.conversation_id IS NOT NULL
	UNION ALL
	SELECT i, e FROM interviews i LEFT JOIN evaluations e ON e.interview_id = i.id
	WHERE i.user_id IS DISTINCT FROM $1::uuid AND i.conversation_id IN (
		SELECT s.claimed_conversation_id FROM interview_sessions s WHERE s.user_id = $1::uuid
		UNION
		SELECT n.conversation_id FROM interview_sessions s JOIN interviews n ON n.claimed_session_id = s.client_session_id
		WHERE s.user_id = $1::uuid)
), owned AS (
	SELECT * FROM mine WHERE debrief_owner(whole, $2::bigint, $3::boolean) = $1::uuid
), real_session AS (
	SELECT s FROM interview_sessions s
	WHERE s.user_id = $1::uuid AND s.client_session_id IS NOT NULL AND left(s.client_session_id, 9) <> 'fallback:'
)
SELECT
	(SELECT COALESCE(jsonb_agg(debrief_session_fact(s)), '[]') FROM real_session),
	(SELECT COALESCE(jsonb_agg(debrief_conversation_fact(whole, evaluation)), '[]') FROM owned),
	(SELECT COALESCE(jsonb_object_agg((s).client_session_id, jsonb_build_object('cid', (s).conversation_id,
		'evidence', (s).evidence)), '{}') FROM real_session WHERE (s).conversation_id IS NOT NULL),
	(SELECT COALESCE(jsonb_object_agg((whole).conversation_id, (whole).user_id), '{}') FROM owned
	 WHERE (whole).user_id IS DISTINCT FROM $1::uuid)
