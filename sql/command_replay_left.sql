-- How many of them are not decided yet. $1 sids, $2 conversation ids, as JSON arrays.
SELECT (SELECT count(*) FROM interview_sessions
		WHERE undecided AND client_session_id IN (SELECT jsonb_array_elements_text($1::jsonb)))
	+ (SELECT count(*) FROM interviews
		WHERE undecided AND conversation_id IN (SELECT jsonb_array_elements_text($2::jsonb)))
