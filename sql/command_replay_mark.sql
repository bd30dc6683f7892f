-- Has these decided again by the nodes. $1 sids, $2 conversation ids, as JSON arrays.
WITH sessions AS (
	UPDATE interview_sessions SET undecided = true, updated_at = now()
	WHERE client_session_id IN (SELECT jsonb_array_elements_text($1::jsonb)) RETURNING id
), conversations AS (
	UPDATE interviews SET undecided = true, updated_at = now()
	WHERE conversation_id IN (SELECT jsonb_array_elements_text($2::jsonb)) RETURNING id
)
SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM conversations)
