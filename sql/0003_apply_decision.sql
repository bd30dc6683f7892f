-- Applies a decision: the snapshot of the links of a user's hot facts.
--
-- decision: {"sessions": [{"sid", "cid"?, "evidence"?}, …],
--            "conversations": [{"cid", "hash", "epoch", "own"?}, …], "gone": [{"cid", "epoch"}, …]}
-- `own` is 1 for a conversation that went through the index for this decision: only then is it decided
-- (a session is when sql/keep_session.sql says so). `gone` are conversations that are no longer this user's. Where the ledger knows of a later change of
-- owner than `epoch`, that conversation is passed over.
-- Returns the revision in force: the decision's own when it was applied (again), a
-- greater one when a later decision came first and this one must be made anew.
CREATE FUNCTION debrief_apply_decision(p_user uuid, p_revision bigint, p_decision jsonb) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	v_revision bigint;
	v_cids text[];
	v_gone text[];
BEGIN
	-- the profile's row is the lock of its user's links
	UPDATE profiles SET links_revision = GREATEST(links_revision, p_revision)
	WHERE id = p_user RETURNING links_revision INTO v_revision;
	IF NOT FOUND THEN
		INSERT INTO profiles (id, links_revision) VALUES (p_user, p_revision)
		ON CONFLICT (id) DO UPDATE SET links_revision = GREATEST(profiles.links_revision, p_revision)
		RETURNING links_revision INTO v_revision;
	END IF;
	IF v_revision > p_revision THEN
		RETURN v_revision;
	END IF;

	SELECT ARRAY(SELECT c.cid FROM jsonb_to_recordset(p_decision -> 'conversations') AS c (cid text, epoch bigint)
	             LEFT JOIN interviews i ON i.conversation_id = c.cid
	             WHERE i.id IS NULL OR i.owner_epoch <= c.epoch),
	       ARRAY(SELECT c.cid FROM jsonb_to_recordset(p_decision -> 'gone') AS c (cid text, epoch bigint)
	             LEFT JOIN interviews i ON i.conversation_id = c.cid
	             WHERE i.id IS NULL OR i.owner_epoch <= c.epoch)
	INTO v_cids, v_gone;

	-- Clear every holder of these sids and conversation ids that holds something else, then
	-- set: conversation ids are unique, so in one statement a link could not move.
	DELETE FROM interview_sessions s
	WHERE left(s.client_session_id, 9) = 'fallback:'
	  AND (s.conversation_id = ANY (v_gone) AND s.user_id = p_user
	       OR s.conversation_id = ANY (v_cids) AND (s.user_id <> p_user OR EXISTS (SELECT 1 FROM jsonb_array_elements(p_decision -> 'sessions') l
	                  JOIN interview_sessions r ON r.client_session_id = l ->> 'sid' AND r.user_id = p_user
	                  WHERE l ->> 'cid' = s.conversation_id)));
	UPDATE interview_sessions s SET
		conversation_id = NULL, interview_id = NULL, evidence = NULL,
		agent_id = COALESCE(s.claimed_agent_id, ''), ended_at = s.client_ended_at,
		status = CASE WHEN s.client_ended_at IS NULL THEN 'started' ELSE 'ended_pending_webhook' END,
		updated_at = now()
	WHERE s.conversation_id IS NOT NULL AND left(s.client_session_id, 9) <> 'fallback:'
	  AND (s.conversation_id = ANY (v_cids)
	       OR s.user_id = p_user AND (s.conversation_id = ANY (v_gone) OR s.client_session_id IN
	          (SELECT l ->> 'sid' FROM jsonb_array_elements(p_decision -> 'sessions') l)))
	  AND NOT EXISTS (SELECT 1 FROM jsonb_array_elements(p_decision -> 'sessions') l
	                  WHERE l ->> 'sid' = s.client_session_id AND l ->> 'cid' = s.conversation_id
	                    AND s.user_id = p_user);

	UPDATE interview_sessions s SET
		conversation_id = l.cid, interview_id = i.id, evidence = l.evidence,
		agent_id = COALESCE(NULLIF(i.agent_id, ''), s.claimed_agent_id, ''),
		ended_at = CASE WHEN l.cid IS NULL THEN s.client_ended_at
		                ELSE COALESCE(i.ended_at, s.client_ended_at, i.received_at) END,
		status = CASE WHEN i.failure_reason IS NOT NULL THEN 'failed'
		              WHEN l.cid IS NOT NULL THEN 'completed'
		              WHEN s.client_ended_at IS NOT NULL THEN 'ended_pending_webhook'
		              ELSE 'started' END,
		updated_at = now()
	FROM (SELECT d.sid,
			CASE WHEN d.cid = ANY (v_cids) THEN d.cid END AS cid,
			CASE WHEN d.cid = ANY (v_cids) THEN d.evidence END AS evidence
		FROM jsonb_to_recordset(p_decision -> 'sessions')
			AS d (sid text, cid text, evidence text)) l
	LEFT JOIN interviews i ON i.conversation_id = l.cid
	WHERE s.client_session_id = l.sid AND s.user_id = p_user
	  AND ((s.conversation_id, s.interview_id, s.evidence) IS DISTINCT FROM (l.cid, i.id, l.evidence)
	       OR l.cid IS NOT NULL AND s.ended_at IS DISTINCT FROM COALESCE(i.ended_at, s.client_ended_at, i.received_at)
	       OR (s.status = 'failed') IS DISTINCT FROM (i.failure_reason IS NOT NULL));

	UPDATE interviews i SET user_id = p_user, owner_epoch = c.epoch,
		-- content that came after this decision was made stays undecided
		undecided = i.undecided AND (c.own IS NULL OR i.body_hash <> c.hash), updated_at = now()
	FROM jsonb_to_recordset(p_decision -> 'conversations') AS c (cid text, hash text, epoch bigint, own int)
	WHERE i.conversation_id = c.cid AND i.owner_epoch <= c.epoch
	  AND (i.user_id IS DISTINCT FROM p_user OR i.undecided AND c.own IS NOT NULL OR i.owner_epoch < c.epoch);
	UPDATE interviews SET user_id = NULL, updated_at = now()
	WHERE conversation_id = ANY (v_gone) AND user_id = p_user;

	-- a conversation without a session is kept with a fallback session
	INSERT INTO interview_sessions
		(user_id, client_session_id, conversation_id, interview_id, agent_id, status, started_at, ended_at)
	SELECT p_user, 'fallback:' || i.conversation_id, i.conversation_id, i.id, i.agent_id,
		CASE WHEN i.failure_reason IS NULL THEN 'completed' ELSE 'failed' END,
		COALESCE(i.started_at, i.received_at), COALESCE(i.ended_at, i.received_at)
	FROM interviews i
	WHERE i.conversation_id = ANY (v_cids)
	  AND NOT EXISTS (SELECT 1 FROM interview_sessions s WHERE s.conversation_id = i.conversation_id)
	ON CONFLICT (client_session_id) DO UPDATE SET
		user_id = excluded.user_id, conversation_id = excluded.conversation_id, interview_id = excluded.interview_id,
		updated_at = now();

	RETURN v_revision;
END
$$;
