-- merges
-- What the session index is filled with. $1 sid.
-- One row: {"session"?: fact, "named_by": [conversation id …]}
SELECT g.member, jsonb_strip_nulls(jsonb_build_object(
	'session', (SELECT debrief_session_fact(s) FROM interview_sessions s WHERE s.client_session_id = g.sid),
	'named_by', COALESCE((SELECT jsonb_agg(n.conversation_id) FROM
		(SELECT i.conversation_id FROM interviews i WHERE i.claimed_session_id = g.sid
		 ORDER BY i.conversation_id LIMIT 64) n), '[]'::jsonb)))
FROM unnest($1::text[]) WITH ORDINALITY AS g (sid, member)
