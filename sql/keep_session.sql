-- merges, one a $4
-- Keeps a session's fact, merged with what is here: of each thing the earliest heard.
-- $1 user, $2 fact (lua/facts.lua; or, without heard_at, a save that is stamped here: see
-- lua/session_index.lua), $3 undecided, $4 the fact's sid.
-- lock_user.sql has made the profile. Returns one row; none if another user owns the sid.
WITH fact AS (
	SELECT g.user_id, g.undecided, f.sid, f.agent, f.agent_at, f.claim, f.claim_at, f.ended_by, heard.at AS heard,
		CASE WHEN f.heard_at IS NULL AND f.ended_by IS NULL THEN heard.at ELSE debrief_time(f.started_at) END AS started,
		CASE WHEN f.heard_at IS NULL AND f.ended_by IS NOT NULL
			THEN heard.at - COALESCE(f.ended_ago, 0) * interval '1 millisecond' ELSE debrief_time(f.ended_at) END AS ended
	FROM unnest($1::text[], $2::text[], $3::text[]) AS g (user_id, fact, undecided),
		jsonb_to_record(g.fact::jsonb) AS f (sid text, heard_at bigint, agent text, agent_at bigint, claim text,
			claim_at bigint, started_at bigint, ended_at bigint, ended_by text, ended_ago bigint),
		LATERAL (SELECT COALESCE(debrief_time(f.heard_at), date_trunc('milliseconds', now())) AS at) heard
), before AS (
	SELECT s.client_session_id, s.claimed_conversation_id FROM fact JOIN interview_sessions s ON s.client_session_id = fact.sid
	WHERE s.claimed_conversation_id IS NOT NULL
), kept AS (
	INSERT INTO interview_sessions AS s (user_id, client_session_id, claimed_agent_id, claimed_agent_at, agent_id,
		claimed_conversation_id, claimed_at, started_at, client_ended_at, ended_at, ended_by, status, created_at, undecided)
	SELECT user_id::uuid, sid, agent, CASE WHEN agent IS NOT NULL THEN COALESCE(debrief_time(agent_at), heard) END,
		COALESCE(agent, ''), claim, CASE WHEN claim IS NOT NULL THEN COALESCE(debrief_time(claim_at), heard) END,
		started, ended, ended, ended_by,
		CASE WHEN ended IS NULL THEN 'started' ELSE 'ended_pending_webhook' END, heard, undecided::boolean
	FROM fact
	ON CONFLICT (client_session_id) DO UPDATE SET
		claimed_agent_id = CASE WHEN (excluded.claimed_agent_at, excluded.claimed_agent_id)
				< (s.claimed_agent_at, s.claimed_agent_id) OR s.claimed_agent_id IS NULL
			THEN excluded.claimed_agent_id ELSE s.claimed_agent_id END,
		claimed_agent_at = LEAST(s.claimed_agent_at, excluded.claimed_agent_at),
		agent_id = CASE WHEN s.agent_id = '' THEN excluded.agent_id ELSE s.agent_id END,
		claimed_conversation_id = CASE WHEN (excluded.claimed_at, excluded.claimed_conversation_id)
				< (s.claimed_at, s.claimed_conversation_id) OR s.claimed_conversation_id IS NULL
			THEN excluded.claimed_conversation_id ELSE s.claimed_conversation_id END,
		claimed_at = LEAST(s.claimed_at, excluded.claimed_at),
		-- a start that was heard after the end is none
		started_at = CASE WHEN LEAST(s.started_at, excluded.started_at) > LEAST(s.client_ended_at, excluded.client_ended_at)
			THEN NULL ELSE LEAST(s.started_at, excluded.started_at) END,
		ended_by = CASE WHEN (excluded.client_ended_at, COALESCE(excluded.ended_by, '')) < (s.client_ended_at, COALESCE(s.ended_by, ''))
				OR s.client_ended_at IS NULL
			THEN excluded.ended_by ELSE s.ended_by END,
		client_ended_at = LEAST(s.client_ended_at, excluded.client_ended_at),
		ended_at = CASE WHEN s.conversation_id IS NULL THEN LEAST(s.client_ended_at, excluded.client_ended_at)
			ELSE s.ended_at END,
		status = CASE WHEN s.conversation_id IS NULL AND excluded.client_ended_at IS NOT NULL
			THEN 'ended_pending_webhook' ELSE s.status END,
		created_at = LEAST(s.created_at, excluded.created_at),
		-- what went through the indexes is decided with it, if it says all that is known here
		undecided = excluded.undecided OR s.undecided AND NOT (
			(s.client_ended_at IS NULL OR COALESCE(excluded.client_ended_at <= s.client_ended_at, false))
			AND (s.started_at IS NULL OR COALESCE(excluded.started_at <= s.started_at, excluded.client_ended_at < s.started_at,
				false))
			AND (s.claimed_at IS NULL OR COALESCE((excluded.claimed_at, excluded.claimed_conversation_id)
				<= (s.claimed_at, s.claimed_conversation_id), false))
			AND (s.claimed_agent_at IS NULL OR COALESCE(excluded.claimed_agent_at <= s.claimed_agent_at, false))),
		updated_at = now()
	WHERE s.user_id = excluded.user_id
	RETURNING s.client_session_id, s.claimed_conversation_id
), released AS (
	-- what it claimed until now may be its owner's by that claim alone: the indexes in Redis may not know of it
	UPDATE interviews i SET undecided = true, updated_at = now()
	FROM before JOIN kept USING (client_session_id)
	WHERE kept.claimed_conversation_id <> before.claimed_conversation_id
	  AND i.conversation_id = before.claimed_conversation_id AND i.user_id IS NOT NULL AND i.claimed_user_id IS NULL
)
SELECT array_position($4::text[], client_session_id), true FROM kept
