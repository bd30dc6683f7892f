-- What a stored webhook says by today's reading. It is decided again. $1 conversation id, $2 hash of the body that was
-- read, $3 agent, $4 status, $5 final, $6 start ms, $7 end ms, $8 duration s, $9 named session, $10 named user, $11 failure.
UPDATE interviews SET agent_id = $3, status = $4, is_final = $5::boolean,
	started_at = debrief_time($6::bigint), ended_at = debrief_time($7::bigint), duration_secs = $8::bigint,
	claimed_session_id = $9, claimed_user_id = $10::uuid, failure_reason = $11, undecided = true, updated_at = now()
WHERE conversation_id = $1 AND body_hash = $2
