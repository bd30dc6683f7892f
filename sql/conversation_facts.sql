-- merges
-- What the conversation index is filled with. $1 conversation id.
-- One row: {"content"?, "claims": [session fact …], "holder"?, "named_owner"?}
SELECT g.member, jsonb_strip_nulls(jsonb_build_object(
	'content', CASE WHEN i.id IS NOT NULL THEN debrief_conversation_fact(i, e) END,
	'holder', i.user_id,
	'named_owner', (SELECT s.user_id FROM interview_sessions s WHERE s.client_session_id = i.claimed_session_id),
	'claims', COALESCE((SELECT jsonb_agg(c.fact) FROM
		(SELECT debrief_session_fact(s) AS fact FROM interview_sessions s WHERE s.claimed_conversation_id = g.cid
		   AND s.client_session_id IS NOT NULL
		 ORDER BY s.claimed_at, s.client_session_id LIMIT 64) c), '[]'::jsonb)))
FROM unnest($1::text[]) WITH ORDINALITY AS g (cid, member) LEFT JOIN interviews i ON i.conversation_id = g.cid
LEFT JOIN evaluations e ON e.interview_id = i.id
