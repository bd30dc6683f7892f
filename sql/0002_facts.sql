-- Facts as JSON, as the scripts in Redis take them. Absent members are unknown.

CREATE FUNCTION debrief_session_fact(s interview_sessions) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
SELECT jsonb_strip_nulls(jsonb_build_object(
	'sid', s.client_session_id, 'user', s.user_id, 'heard_at', debrief_ms(s.created_at),
	'agent', s.claimed_agent_id, 'agent_at', debrief_ms(s.claimed_agent_at),
	'claim', s.claimed_conversation_id, 'claim_at', debrief_ms(s.claimed_at),
	'started_at', debrief_ms(s.started_at),
	'ended_at', debrief_ms(s.client_ended_at), 'ended_by', s.ended_by))
$$;

CREATE FUNCTION debrief_conversation_fact(i interviews, e evaluations) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
SELECT jsonb_strip_nulls(jsonb_build_object(
	'cid', i.conversation_id, 'id', i.id, 'agent', i.agent_id, 'epoch', i.owner_epoch,
	'final', CASE WHEN i.is_final THEN 1 ELSE 0 END, 'event_at', i.event_timestamp, 'hash', i.body_hash,
	'named_user', i.claimed_user_id, 'named_session', i.claimed_session_id,
	'started_at', debrief_ms(i.started_at), 'ended_at', debrief_ms(i.ended_at),
	'received_at', debrief_ms(i.received_at), 'failure', i.failure_reason,
	'evaluation', CASE WHEN e.status IS NOT NULL
		THEN jsonb_build_object('status', e.status, 'reason', e.reason, 'at', e.revised_ms) END))
$$;

-- How far a session lies from a conversation, in milliseconds.
CREATE FUNCTION debrief_distance(s interview_sessions, i interviews) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT CASE WHEN s.client_ended_at IS NOT NULL
	THEN abs(debrief_ms(s.client_ended_at) - debrief_ms(COALESCE(i.ended_at, i.received_at)))
	ELSE abs(debrief_ms(COALESCE(s.started_at, s.created_at)) - debrief_ms(COALESCE(i.started_at, i.received_at))) END
$$;

-- Whose conversation it is: the named user, else the owner of the named session, else
-- the user with the earliest claim whose session lies within the match window.
-- (plpgsql keeps its plans; a function in SQL with subqueries is planned at every use.)
CREATE FUNCTION debrief_owner(i interviews, window_ms bigint, claim_unowned boolean) RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
	owner uuid := i.claimed_user_id;
BEGIN
	IF owner IS NULL AND i.claimed_session_id IS NOT NULL THEN
		SELECT s.user_id INTO owner FROM interview_sessions s WHERE s.client_session_id = i.claimed_session_id;
	END IF;
	IF owner IS NULL AND claim_unowned THEN
		SELECT s.user_id INTO owner FROM interview_sessions s
		WHERE s.claimed_conversation_id = i.conversation_id AND debrief_distance(s, i) <= window_ms
		ORDER BY s.claimed_at, s.client_session_id LIMIT 1;
	END IF;
	RETURN owner;
END
$$;
