-- Decisions that need nothing taken away, which is nearly all of them, in one statement.

-- Applies decisions, as rows: each a session with its conversation, or either of them alone; or a conversation that is
-- gone, without a hash. Of a user there is only one decision at a time, and lock_user.sql has raised the revision of the
-- user's links already. `p_decisions` has, in one row of each, the decision whole, as debrief_apply_decisions() takes it: what
-- is not simple is left to that. Both return the same.
CREATE FUNCTION debrief_apply_links(p_members bigint[], p_users uuid[], p_revisions bigint[], p_sids text[], p_cids text[],
	p_evidences text[], p_hashes text[], p_epochs bigint[], p_owns boolean[], p_decisions text[])
RETURNS TABLE (member bigint, revision bigint, words text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	v_now timestamptz := clock_timestamp();
	v_members bigint[];
	v_revisions bigint[];
	v_words text[];
	v_left bigint[]; -- members whose decisions are not simple
BEGIN
	WITH given AS MATERIALIZED (
		SELECT d.*, p.links_revision, p.links_revision <= d.revision AS in_force,
			i.id AS interview_id, i.agent_id, i.ended_at, i.received_at, i.failure_reason,
			s.id AS session_id, s.claimed_agent_id, s.client_ended_at,
			-- it holds this already
			s.conversation_id IS NOT DISTINCT FROM d.cid AND s.evidence IS NOT DISTINCT FROM d.evidence AS holds,
			s.interview_id IS DISTINCT FROM i.id
				OR d.cid IS NOT NULL AND s.ended_at IS DISTINCT FROM COALESCE(i.ended_at, s.client_ended_at, i.received_at)
				OR (s.status = 'failed') IS DISTINCT FROM (i.failure_reason IS NOT NULL) AS differs,
			-- nobody has to give up anything, and nothing has to be made
			COALESCE(CASE
				WHEN d.cid IS NULL THEN s.conversation_id IS NULL
				WHEN d.hash IS NULL THEN i.user_id IS DISTINCT FROM d.owner AND h.user_id IS DISTINCT FROM d.owner
				WHEN (i.owner_epoch <= d.epoch) IS NOT TRUE THEN false
				WHEN d.sid IS NULL THEN h.user_id = d.owner AND left(h.client_session_id, 9) = 'fallback:'
				WHEN h.id IS NULL THEN s.id IS NOT NULL AND s.conversation_id IS NULL
				ELSE h.id = s.id AND s.evidence = d.evidence END, false) AS simple
		FROM unnest(p_members, p_users, p_revisions, p_sids, p_cids, p_evidences, p_hashes, p_epochs, p_owns)
				AS d (member, owner, revision, sid, cid, evidence, hash, epoch, own)
			JOIN profiles p ON p.id = d.owner
			LEFT JOIN interviews i ON i.conversation_id = d.cid
			LEFT JOIN interview_sessions s ON s.client_session_id = d.sid
				AND s.user_id IS NOT DISTINCT FROM d.owner -- in words that no index of the user answers
			LEFT JOIN interview_sessions h ON h.conversation_id = d.cid
	), judged AS MATERIALIZED (
		SELECT g.*, g.in_force AND g.member NOT IN (SELECT member FROM given WHERE NOT simple)
			-- two decisions on one conversation go one after the other
			AND (SELECT count(cid) = count(DISTINCT cid COLLATE "C") FROM given) AS easy
		FROM given g
	), linked AS (
		UPDATE interview_sessions s SET
			conversation_id = g.cid, interview_id = g.interview_id, evidence = g.evidence,
			linked_at = CASE WHEN g.cid IS NULL THEN NULL WHEN g.holds THEN s.linked_at ELSE v_now END,
			agent_id = COALESCE(NULLIF(g.agent_id, ''), g.claimed_agent_id, ''),
			ended_at = CASE WHEN g.cid IS NULL THEN g.client_ended_at
			                ELSE COALESCE(g.ended_at, g.client_ended_at, g.received_at) END,
			status = CASE WHEN g.failure_reason IS NOT NULL THEN 'failed'
			              WHEN g.cid IS NOT NULL THEN 'completed'
			              WHEN g.client_ended_at IS NOT NULL THEN 'ended_pending_webhook'
			              ELSE 'started' END,
			updated_at = now()
		FROM judged g
		WHERE g.easy AND s.id = g.session_id AND (g.differs OR NOT g.holds)
	), owned AS (
		UPDATE interviews i SET user_id = g.owner, owner_epoch = g.epoch,
			-- content that came after this decision was made stays undecided
			undecided = i.undecided AND (NOT g.own OR i.body_hash <> g.hash), updated_at = now()
		FROM judged g
		WHERE g.easy AND i.id = g.interview_id AND g.hash IS NOT NULL AND i.owner_epoch <= g.epoch
		  AND (i.user_id IS DISTINCT FROM g.owner OR i.undecided AND g.own OR i.owner_epoch < g.epoch)
	), said AS (
		SELECT g.member, max(g.links_revision) AS revision, bool_and(g.in_force AND NOT g.easy) AS is_left,
			COALESCE(string_agg(g.evidence || ' ', '') FILTER (WHERE g.easy AND NOT g.holds), '') AS words
		FROM judged g GROUP BY g.member
	)
	SELECT array_agg(member), array_agg(revision), array_agg(words), array_agg(member) FILTER (WHERE is_left)
	INTO v_members, v_revisions, v_words, v_left FROM said;

	RETURN QUERY SELECT * FROM unnest(v_members, v_revisions, v_words) AS m (member, revision, words)
		WHERE v_left IS NULL OR m.member <> ALL (v_left);
	IF v_left IS NOT NULL THEN
		RETURN QUERY
		WITH whole AS (
			SELECT array_agg(member ORDER BY member) AS members, array_agg(owner ORDER BY member) AS owners,
				array_agg(revision ORDER BY member) AS revisions, array_agg(decision::jsonb ORDER BY member) AS decisions
			FROM unnest(p_members, p_users, p_revisions, p_decisions) AS m (member, owner, revision, decision)
			WHERE decision IS NOT NULL AND member = ANY (v_left)
		)
		SELECT w.members[a.member], a.revision, a.words
		FROM whole w, debrief_apply_decisions(w.owners, w.revisions, w.decisions) a;
	END IF;
END
$$;
